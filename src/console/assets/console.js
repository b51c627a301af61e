// What pages can do with JavaScript beyond what they do without: they follow new plans, draw charts with a cursor,
// copy calls, and keep the theme that somebody chose.
'use strict';
(() => {
  const root = document.documentElement;

  // light-dark() is resolved where a colour is used, so a chart asks an element for it.
  const probe = document.createElement('span');
  probe.hidden = true;
  document.body.append(probe);
  const resolved = (name) => { probe.style.color = `var(${name})`; return getComputedStyle(probe).color; };

  const say = (text) => { const said = document.getElementById('said'); if (said) said.textContent = text; };

  // ---- The theme: as the system has it, light, dark.
  const themes = ['system', 'light', 'dark'];
  const button = document.getElementById('theme');
  const applied = () => root.dataset.theme || 'system';
  const name = () => { button.textContent = `Theme: ${applied()}`; };
  if (button) {
    button.hidden = false;
    name();
    button.addEventListener('click', () => {
      const next = themes[(themes.indexOf(applied()) + 1) % themes.length];
      if (next === 'system') delete root.dataset.theme; else root.dataset.theme = next;
      try { localStorage.setItem('weir-theme', next); } catch { /* It is forgotten with the page. */ }
      name();
      redraw();
    });
  }
  matchMedia('(prefers-color-scheme: dark)').addEventListener('change', () => redraw());

  // ---- Charts.
  const drawn = new Map();
  const pad = (number) => String(number).padStart(2, '0');
  const short = (value) => value == null ? '–' : Number(value.toPrecision(3)).toLocaleString('en', { maximumFractionDigits: 6 });
  const moment = (seconds) => {
    const at = new Date(seconds * 1000);
    return `${at.getUTCFullYear()}-${pad(at.getUTCMonth() + 1)}-${pad(at.getUTCDate())} ${pad(at.getUTCHours())}:${pad(at.getUTCMinutes())}:${pad(at.getUTCSeconds())}`;
  };

  // Times of the axis: 24 hours, UTC, and the date where a day begins.
  const DAY = 86400;
  function times(plot, all) {
    const days = all.length > 1 && all[1] - all[0] >= DAY;
    const fine = all.length > 1 && all[1] - all[0] < 60;
    return all.map((at) => (days || at % DAY === 0 ? moment(at).slice(0, 10) : moment(at).slice(11, fine ? 19 : 16)));
  }
  const apart = (plot, axis, from, to) => (to - from > DAY || to - from < 600 ? 84 : 56);

  // The one legend, under the chart: with a cursor it has the figures of that step.
  const LEGEND = { kept: ({ kept }, at) => short(kept[at]), wanted: ({ budget }, at) => short(budget[at]), chance: ({ low, high }, at) => `${short(low[at])} to ${short(high[at])}`, moment: (figures, at) => moment(figures.at[at]) };
  function legend(figure, figures, at) {
    for (const [name, value] of Object.entries(LEGEND)) {
      const shown = figure.querySelector(`.legend .${name} .value`);
      if (shown) shown.textContent = at == null ? '' : ` ${value(figures, at)}`;
    }
  }

  function marks(figures) {
    const tip = document.createElement('div');
    tip.className = 'u-tip';
    tip.hidden = true;
    return {
      hooks: {
        ready: (plot) => plot.over.append(tip),
        draw: (plot) => {
          const { ctx, bbox } = plot;
          ctx.save();
          ctx.strokeStyle = ctx.fillStyle = resolved('--note');
          ctx.setLineDash([3, 4]);
          for (const [at] of figures().marks) {
            const x = plot.valToPos(at, 'x', true);
            if (x < bbox.left || x > bbox.left + bbox.width) continue;
            ctx.beginPath(); ctx.moveTo(x, bbox.top); ctx.lineTo(x, bbox.top + bbox.height); ctx.stroke();
            ctx.beginPath(); ctx.arc(x, bbox.top + 5, 5, 0, 7); ctx.fill();
          }
          ctx.restore();
        },
        setCursor: (plot) => {
          const { left, idx } = plot.cursor;
          const figure = plot.root.closest('figure');
          if (figure) legend(figure, figures(), left >= 0 ? idx : null);
          const near = left >= 0 && figures().marks.find(([at]) => Math.abs(plot.valToPos(at, 'x') - left) < 8);
          tip.hidden = !near;
          if (near) {
            tip.textContent = near[1];
            tip.style.left = `${Math.min(left + 8, Math.max(0, plot.over.clientWidth - 260))}px`;
            tip.style.top = '14px';
          }
        },
      },
    };
  }

  function options(width, read) {
    const axis = { stroke: resolved('--quiet'), grid: { stroke: resolved('--line'), width: 1 }, ticks: { show: false }, font: '11px system-ui, sans-serif' };
    return {
      width, height: 250, tzDate: (at) => uPlot.tzDate(new Date(at * 1000), 'UTC'),
      scales: { x: { time: true, range: () => read().span }, y: { range: (_, low, high) => [0, Math.max(high, 1e-9) * 1.05] } },
      axes: [{ ...axis, values: times, space: apart }, { ...axis, size: 56, values: (_, all) => all.map(short) }],
      cursor: { points: { size: 6 }, y: false, drag: { x: false, y: false } },
      legend: { show: false },
      series: [
        {},
        { stroke: 'transparent', points: { show: false } },
        { stroke: 'transparent', points: { show: false } },
        { stroke: resolved('--text'), dash: [5, 4], width: 1.2, points: { show: false } },
        { stroke: resolved('--accent'), width: 2, points: { size: 4 } },
      ],
      bands: [{ series: [2, 1], fill: resolved('--band') }],
      plugins: [marks(read)],
    };
  }

  function draw(figure) {
    const mount = figure.querySelector('.plot');
    if (!mount || !window.uPlot) return;
    const figures = JSON.parse(figure.dataset.chart);
    const data = [figures.at, figures.low, figures.high, figures.budget, figures.kept];
    const before = drawn.get(mount);
    if (before) {
      before.figures = figures;
      before.plot.setData(data);
      return;
    }
    const held = { figures };
    figure.classList.add('alive');
    held.plot = new uPlot(options(mount.clientWidth || figure.clientWidth, () => held.figures), data, mount);
    drawn.set(mount, held);
  }

  function drawAll() {
    for (const [mount, held] of drawn) {
      if (!mount.isConnected) { held.plot.destroy(); drawn.delete(mount); }
    }
    document.querySelectorAll('figure.chart').forEach((figure) => {
      draw(figure);
      // What the server sent says nothing of what was drawn over it.
      if (drawn.has(figure.querySelector('.plot'))) figure.classList.add('alive');
    });
  }

  function redraw() {
    for (const held of drawn.values()) held.plot.destroy();
    drawn.clear();
    drawAll();
  }

  addEventListener('resize', () => {
    for (const [mount, held] of drawn) held.plot.setSize({ width: mount.clientWidth, height: 250 });
  });

  // ---- Calls that can be copied.
  function copyable() {
    document.querySelectorAll('button.copy').forEach((copy) => { copy.hidden = false; });
  }
  document.addEventListener('click', async (event) => {
    const copy = event.target.closest('button.copy');
    if (!copy) return;
    const code = copy.parentElement.querySelector('code');
    try {
      await navigator.clipboard.writeText(code.textContent);
      say('Copied');
    } catch {
      getSelection().selectAllChildren(code);
      say('Selected: copy it with the keyboard');
    }
  });

  // ---- New plans: what a plan changes is asked for again, at most every two seconds, while somebody looks.
  const EVERY = 2000;
  let plan = Number(document.getElementById('plan')?.dataset.plan ?? 0);
  let arrived = Date.now();
  let asked = Date.now();
  let waits = false;

  async function refresh() {
    waits = false;
    const live = document.getElementById('live');
    if (document.hidden || !live || !window.htmx) return;
    // Somebody who opened or selects something inside keeps it; the next plan asks again.
    if (live.querySelector('details[open]') || (live.contains(getSelection().anchorNode) && !getSelection().isCollapsed)) return;
    asked = Date.now();
    try {
      await htmx.ajax('GET', location.pathname + location.search, { target: '#live', select: '#live', swap: 'outerMorph' });
    } catch { /* The next plan asks again. */ }
    drawAll();
  }

  function soon() {
    if (waits) return;
    waits = true;
    setTimeout(refresh, Math.max(0, asked + EVERY - Date.now()));
  }

  function age() {
    const shown = document.getElementById('plan');
    const text = shown?.querySelector('.age');
    if (!text) return;
    const seconds = Number(shown.dataset.age) + (Date.now() - arrived) / 1000;
    text.textContent = `${seconds < 120 ? `${Math.round(seconds)} s` : seconds < 7200 ? `${Math.round(seconds / 60)} min` : `${Math.round(seconds / 3600)} h`} ago`;
  }

  function follow() {
    const events = new EventSource('/console/live');
    events.addEventListener('plan', (event) => {
      const next = Number(event.data);
      if (next === plan) return;
      plan = next;
      const shown = document.getElementById('plan');
      if (shown) {
        shown.dataset.plan = next;
        shown.dataset.age = 0;
        shown.firstChild.textContent = `plan ${next} · `;
        arrived = Date.now();
        age();
      }
      soon();
    });
    events.addEventListener('error', () => {
      // A stream that was refused does not come back by itself.
      if (events.readyState === EventSource.CLOSED) setTimeout(follow, 10000);
    });
    addEventListener('pagehide', () => events.close());
  }

  document.addEventListener('visibilitychange', () => { if (!document.hidden) soon(); });
  document.addEventListener('htmx:after:swap', () => { drawAll(); copyable(); });

  drawAll();
  copyable();
  if (document.getElementById('plan')) { follow(); setInterval(age, 1000); }
})();
