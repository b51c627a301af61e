// The screens, in the order of the navigation: where each is, what it is waited for, and its main action.
//
// An action is done by keyboard or pointer as somebody does it, and waits for what comes of it.

const until = (page, selector) => page.waitForSelector(selector, { timeout: 20_000 });

// Types into a field and waits for the preview that follows.
async function typed(page, field, value, preview) {
  await page.fill(field, value);
  await page.waitForFunction((text) => document.querySelector('#preview')?.textContent.includes(text), preview, { timeout: 20_000 });
}

export const screens = [
  {
    name: 'overview', path: '/', ready: '#kept-chart .uplot',
    async act(page, turn) {
      // One legend, with the figures of the step under the pointer: times have 24 hours and ISO dates.
      await page.hover('#kept-chart .u-over');
      await page.waitForFunction(() => /UTC \d{4}-\d\d-\d\d \d\d:\d\d:\d\d/.test(document.querySelector('#kept-chart .legend').textContent), null, { timeout: 20_000 });
      if (await page.locator('.u-legend').count()) throw new Error('the chart has a second legend');
      await page.click('text=Change the budget…');
      await until(page, 'form.change');
      await typed(page, '#in-amount', String(40 + turn), `→ ${40 + turn} traces/s`);
      await page.fill('#reason', 'the browser asked for it');
      await page.click('button.main');
      await until(page, '.saved');
      await until(page, `#changes li:first-child:has-text("→ ${40 + turn}")`);
    },
  },
  {
    name: 'services', path: '/console/services', ready: 'tbody tr',
    async act(page, turn) {
      await page.fill('#search', 'check');
      await page.keyboard.press('Enter');
      await until(page, 'caption:has-text("1 services with")');
      await page.click('[aria-label="set… floor, cap and group of checkout"]');
      await until(page, '#panel form.change');
      await typed(page, '#in-floor_traces_per_second', String(2 + turn), 'with the traffic of this plan');
      await page.click('button.main');
      await until(page, '.saved');
    },
  },
  {
    name: 'service', path: '/console/services/checkout', ready: '#operations tbody tr',
    async act(page) {
      await page.click('#operations tbody tr:has-text("POST /cart") a');
      await until(page, '.ladder');
      await page.click('text=Boost for 20 minutes…');
      await until(page, '#preview dl');
      await page.fill('#reason', 'payments fail for some');
      await page.check('[name=force]');
      await page.click('button.main');
      await until(page, '.saved');
    },
  },
  { name: 'operation', path: '/console/services/checkout?operation=GET+%2F', ready: '.ladder' },
  {
    name: 'rules', path: '/console/rules', ready: 'text=Add a rule…',
    async act(page, turn) {
      await page.click('text=Add a rule…');
      await page.fill('#in-id', `quiet-${turn}`);
      await page.fill('#in-service', 'search');
      await page.selectOption('#in-set', 'cap_traces_per_second');
      await typed(page, '#in-value', '2', 'It matches');
      await page.fill('#reason', 'searches are half of all traffic');
      await page.click('button.main');
      await until(page, '.saved');
      await until(page, `tbody th:has-text("quiet-${turn}")`);
    },
  },
  {
    name: 'changes', path: '/console/changes', ready: 'tbody tr',
    async act(page) {
      await page.click('tbody tr:last-child a');
      await until(page, '#fields');
      await page.click('text=Roll back to revision');
      await until(page, '#preview dl');
      await page.fill('#reason', 'back as it was');
      await page.click('button.main');
      await until(page, '.saved');
      await until(page, 'tbody tr:first-child:has-text("back as it was")');
    },
  },
  {
    name: 'fleet', path: '/console/fleet', ready: '#agents tbody tr',
    async act(page) {
      await page.click('#fix a:has-text("Go")');
      await until(page, '#fix code:has-text("jaegerremote.New")');
    },
  },
  {
    name: 'try', path: '/console/try?range=10m', ready: '#budgets tbody tr',
    async act(page) {
      await page.fill('#amount', '60');
      await until(page, '#tried a:has-text("traces/s…")');
      await page.click('#tried a:has-text("traces/s…")');
      await until(page, 'form.change');
    },
  },
  {
    name: 'first-run', path: '/console/first-run', ready: '#steps li',
    async act(page) {
      await page.click('#copy a:has-text("JavaScript")');
      await until(page, '#copy code:has-text("JaegerRemoteSampler")');
    },
  },
  { name: 'sign-in', path: '/console/sign-in', ready: '#token' },
];
