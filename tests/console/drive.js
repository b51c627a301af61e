// Drives every screen of a running Weir with Chromium: at the width of a desk and of a phone, in light and in dark.
//
//   node drive.js URL [FOLDER]    with a folder, pictures of the screens are written there: each width in each light.
//                                 Without one, a desk in light and a phone in dark, which takes half of the time
//
// It fails if an action does not lead where it should, if axe finds something serious, if a script fails or is refused by
// the policy, if a page is wider than the window, or if a caption is cut.

import { readFileSync, existsSync, mkdirSync } from 'node:fs';
import { createRequire } from 'node:module';
import { chromium } from 'playwright-core';
import { screens } from './screens.js';

const [url, folder] = process.argv.slice(2);
const axe = readFileSync(createRequire(import.meta.url).resolve('axe-core/axe.min.js'), 'utf8');
const executablePath = process.env.CHROMIUM
  ?? ['/usr/bin/chromium', '/usr/bin/chromium-browser', '/usr/bin/google-chrome'].find(existsSync);
if (!executablePath) throw new Error('there is no Chromium: `make setup` installs it');

const sizes = { desktop: { width: 1280, height: 860 }, phone: { width: 390, height: 844 } };
const faults = [];

async function check(page, what) {
  await page.evaluate(axe);
  const { violations } = await page.evaluate(() => window.axe.run(document, { resultTypes: ['violations'] }));
  for (const of of violations) {
    if (['serious', 'critical'].includes(of.impact)) {
      faults.push(`${what}: ${of.id}: ${of.help}: ${of.nodes.slice(0, 3).map((node) => `${node.html} (${node.any.map((one) => one.message).join('; ')})`).join(' | ')}`);
    }
  }
  const wider = await page.evaluate(() => document.documentElement.scrollWidth - innerWidth);
  if (wider > 1) faults.push(`${what}: the page is ${wider} px wider than the window`);
  const cut = await page.evaluate(() => [...document.querySelectorAll('caption:not(.unseen)')]
    .filter((of) => of.getBoundingClientRect().right > innerWidth + 1).map((of) => of.textContent));
  for (const caption of cut) faults.push(`${what}: a caption is cut: ${caption}`);
}

async function visit(page, screen) {
  await page.goto(url + screen.path, { waitUntil: 'load' });
  await page.waitForSelector(screen.ready, { timeout: 20_000 });
}

const browser = await chromium.launch({ executablePath, args: ['--no-sandbox'] });
let turn = 0;
try {
  for (const [size, viewport] of Object.entries(sizes)) {
    const one = size === 'desktop' ? ['light'] : ['dark'];
    for (const colorScheme of folder ? ['light', 'dark'] : one) {
      const context = await browser.newContext({ viewport, colorScheme, reducedMotion: 'reduce' });
      const page = await context.newPage();
      let what = '';
      page.on('pageerror', (error) => faults.push(`${what}: ${error.message}`));
      page.on('console', (message) => {
        // A form that is refused is answered with the status of its fault, which browsers log.
        if (message.type() === 'error') faults.push(`${what}: ${message.text()}`);
      });
      turn += 1;
      for (const screen of screens) {
        what = `${screen.name} ${size} ${colorScheme}`;
        await visit(page, screen);
        await check(page, what);
        if (folder) {
          mkdirSync(folder, { recursive: true });
          await page.screenshot({ path: `${folder}/${screen.name}-${size}-${colorScheme}.png`, fullPage: true });
        }
      }
      for (const screen of screens.filter((screen) => screen.act)) {
        what = `${screen.name} ${size} ${colorScheme}, its action`;
        await visit(page, screen);
        try {
          await screen.act(page, turn);
        } catch (error) {
          faults.push(`${what}: ${error.message.split('\n')[0]} at ${page.url()}: ${(await page.textContent('main')).replace(/\s+/g, ' ').slice(0, 600)}`);
        }
        await check(page, what);
      }
      await context.close();
    }
  }
} finally {
  await browser.close();
}
for (const fault of faults) console.error(fault);
console.log(`${turn} times ${screens.length} screens, ${faults.length} faults`);
process.exit(faults.length ? 1 : 0);
