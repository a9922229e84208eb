// The page: what a person labels, and what others look at. Nothing foreign is loaded, and no text becomes markup.
'use strict';

const $ = (id) => document.getElementById(id);

/** Text with **this** in bold. */
const bold = (text) => text.split(/\*\*([^*]+)\*\*/).map((part, place) => (place % 2 ? h('strong', {}, part) : part));

/** An element: h('p', {class: 'soft'}, 'text', child). */
function h(name, attributes, ...children) {
  const made = document.createElement(name);
  for (const [key, value] of Object.entries(attributes || {})) {
    if (value === undefined || value === null || value === false) continue;
    if (key.startsWith('on')) made.addEventListener(key.slice(2), value);
    else made.setAttribute(key, value === true ? '' : value);
  }
  for (const child of children.flat(Infinity)) if (child !== null && child !== undefined && child !== false) made.append(child);
  return made;
}

const state = {
  me: null, campaign: null, view: 'label', queue: [], shown: null, shownAt: 0, hidden: 0, hiddenAt: 0, last: null, correcting: null,
  mine: { labels: 0, median_seconds: null, agreement: null }, unfinished: 0, waiting: 0, batch: false, cells: [], asking: false,
  keys: localStorage.getItem('poolwise.keys') !== 'off', drawn: new Map(), retry: 0, timer: 0,
};

// ---- the server

class Refusal extends Error {
  constructor(status, text) { super(text); this.status = status; }
}

async function call(method, path, body) {
  const headers = {};
  if (body !== undefined) headers['Content-Type'] = 'application/json';
  if (state.me) headers['X-Page-Token'] = state.me.token;
  const stop = new AbortController();
  const timer = setTimeout(() => stop.abort(), 15000);
  try {
    const answer = await fetch(path, { method, headers, body: body === undefined ? undefined : JSON.stringify(body),
      signal: stop.signal, credentials: 'same-origin' });
    const said = await answer.json().catch(() => ({ error: 'the answer cannot be read' }));
    if (!answer.ok) throw new Refusal(answer.status, said.error || String(answer.status));
    return said;
  } finally {
    clearTimeout(timer);
  }
}
const get = (path) => call('GET', path);
const post = (path, body) => call('POST', path, body);
const newKey = () => [...crypto.getRandomValues(new Uint8Array(12))].map((b) => b.toString(16).padStart(2, '0')).join('');

/** Comes in again where that takes no password. True where a call is worth another try. */
async function comeBack() {
  const session = await get('/api/session');
  if (session.name) { state.me = session; return true; }
  if (session.open && state.me) {
    state.me = { ...await post('/api/login', { name: state.me.name }), open: true };
    return true;
  }
  return false;
}

// ---- the outbox: what is done is kept here until the server has it, each under a key of its own

const outbox = {
  prefix: () => `poolwise.out.${state.campaign.name}.${state.me.name}.`,
  names() {
    const start = this.prefix();
    return Object.keys(localStorage).filter((name) => name.startsWith(start)).sort();
  },
  add(path, body) {
    const name = this.prefix() + String(Date.now()).padStart(15, '0') + '.' + newKey();
    localStorage.setItem(name, JSON.stringify({ path, body }));
    this.flush();
    return name;
  },
  items() { return new Set(this.names().map((name) => JSON.parse(localStorage.getItem(name) || '{}')).map((e) => e.body && e.body.item)); },
  busy: false, sending: null,
  async flush() {
    if (this.busy || !state.me) return;
    this.busy = true;
    clearTimeout(state.timer);
    try {
      for (let name = this.names()[0]; name; name = this.names()[0]) {
        const entry = JSON.parse(localStorage.getItem(name) || 'null');
        if (!entry) { localStorage.removeItem(name); continue; }
        showSync();
        this.sending = name;
        try {
          const said = await post(entry.path, entry.body);
          localStorage.removeItem(name);
          if (said.state === 'surplus') toast('Somebody else had answered that item after your time for it was over. Both answers are kept.');
          state.retry = 0;
        } catch (problem) {
          if (problem.status === 401 || (problem.status === 403 && /out of date/.test(problem.message))) {
            if (!await comeBack()) { askLogin('Your session is over. What you did is kept, and sent once you are back.'); return; }
          } else if (problem.status >= 400 && problem.status < 500 && problem.status !== 429 && problem.status !== 408) {
            localStorage.removeItem(name);
            if (problem.status === 409 && state.campaign.regulated && entry.path === '/api/labels') propose(entry.body.item, entry.body.label);
            else toast(`Not recorded: ${problem.message}`);
          } else {
            throw problem;
          }
        } finally {
          this.sending = null;
        }
      }
    } catch {
      state.retry = Math.min(10000, state.retry ? state.retry * 2 : 500);
      state.timer = setTimeout(() => this.flush(), state.retry);
    } finally {
      this.busy = false;
      showSync();
    }
  },
};

function showSync() {
  const waits = state.me && state.campaign ? outbox.names().length : 0;
  const pill = $('sync');
  const off = state.retry > 0 || !navigator.onLine;
  const text = !state.me ? '' : off ? (waits ? `offline, ${waits} kept here` : 'offline') : waits > 2 ? `sending ${waits}` : 'saved';
  pill.className = 'pill' + (off ? ' off' : waits > 2 ? ' waits' : '');
  if (pill.textContent !== text) pill.textContent = text;
}

// ---- words to people

let toastTimer = 0;
function toast(text) {
  $('toast').textContent = text;
  $('toast').hidden = false;
  clearTimeout(toastTimer);
  toastTimer = setTimeout(() => { $('toast').hidden = true; }, 6000);
}
function say(text) { $('said').textContent = text; }

function openDialog(title, ...content) {
  const dialog = $('dialog');
  dialog.replaceChildren(h('h2', { id: 'dialog-title' }, title), ...content);
  if (!dialog.open) dialog.showModal();
  return dialog;
}
const closeButton = (text) => h('button', { type: 'button', onclick: () => $('dialog').close() }, text || 'Close');

/** A reason, or null where the person thinks better of it. */
function askReason(title, about, action) {
  return new Promise((resolve) => {
    const why = h('textarea', { required: true, maxlength: 2000, 'aria-label': 'Reason' });
    const form = h('form', { method: 'dialog', onsubmit: (e) => { e.preventDefault(); if (why.value.trim()) { done(why.value.trim()); } } },
      h('p', { class: 'soft' }, about), h('label', {}, 'Reason', why),
      h('div', { class: 'row' }, h('button', { type: 'button', onclick: () => done(null) }, 'Cancel'), h('button', { class: 'main' }, action)));
    const done = (value) => { $('dialog').removeEventListener('close', gone); $('dialog').close(); resolve(value); };
    const gone = () => resolve(null);
    openDialog(title, form);
    $('dialog').addEventListener('close', gone, { once: true });
    why.focus();
  });
}

// ---- an item

function picture(one) {
  if (!one.content.image) return null;
  if (!state.drawn.has(one.item)) {
    const image = new Image();
    image.alt = `Picture of ${one.item}`;
    image.onload = () => { if (image.naturalWidth < 160) image.classList.add('small-picture'); };
    image.onerror = () => image.replaceWith(h('p', { class: 'missing' }, 'The picture cannot be loaded. Flag the item, or skip it.'));
    image.src = one.content.image;
    state.drawn.set(one.item, image);
    if (state.drawn.size > 60) state.drawn.delete(state.drawn.keys().next().value);
  }
  return state.drawn.get(one.item);
}

function contentOf(one, small) {
  const parts = [];
  const image = small && one.content.image ? h('img', { src: one.content.image, alt: `Picture of ${one.item}`, loading: 'lazy' }) : picture(one);
  if (image) parts.push(image);
  if (one.content.audio && !small) parts.push(h('audio', { controls: true, src: one.content.audio, preload: 'auto', 'aria-label': `Sound of ${one.item}` }));
  if (one.content.text) parts.push(h('p', { class: 'text' }, one.content.text));
  if (one.content.fields && !small)
    parts.push(h('table', {}, h('tbody', {}, one.content.fields.map(([name, value]) => h('tr', {}, h('th', { scope: 'row' }, name), h('td', {}, value))))));
  if (!parts.length) parts.push(h('p', { class: 'text' }, one.item));
  return parts;
}

async function refill() {
  if (state.asking || !state.me || state.me.role === 'auditor') return;
  if (state.queue.length >= (state.batch ? 12 : 8)) return;
  state.asking = true;
  try {
    await outbox.flush();
    const sent = outbox.items();
    const said = await post('/api/work', { count: state.batch ? 24 : 16 });
    state.unfinished = said.unfinished;
    state.waiting = said.waiting;
    const known = new Set(state.queue.map((one) => one.item));
    for (const one of said.items) {
      if (known.has(one.item) || sent.has(one.item) || (state.done && state.done.has(one.item))) continue;
      if (state.shown && state.shown.item === one.item) continue;
      state.queue.push(one);
      picture(one);
    }
    state.retry = 0;
  } catch (problem) {
    if (problem.status === 401) { if (!await comeBack().catch(() => false)) askLogin(); }
    else if (!problem.status) { state.retry = state.retry || 500; setTimeout(refill, 2000); }
    else if (problem.status === 429) setTimeout(refill, 1500);
    else toast(problem.message);
  } finally {
    state.asking = false;
    showSync();
  }
  if (state.view === 'label' && !state.shown && !state.batch) next();
}

const shownSeconds = () => {
  const until = state.hiddenAt || performance.now();
  return Math.max(0, Math.round(until - state.shownAt - state.hidden) / 1000);
};
document.addEventListener('visibilitychange', () => {
  if (document.hidden) state.hiddenAt = performance.now();
  else if (state.hiddenAt) { state.hidden += performance.now() - state.hiddenAt; state.hiddenAt = 0; }
});

function next() {
  state.correcting = null;
  state.shown = state.queue.shift() || null;
  drawItem();
  if (state.queue.length < 6) refill();
}

function progressBar() {
  const done = state.mine.labels, left = state.unfinished;
  const speed = state.mine.median_seconds;
  return h('div', { class: 'bar' },
    h('span', {}, `${done} by you`), h('progress', { max: Math.max(1, done + left), value: done, 'aria-label': 'Your share of the work that is handed out' }),
    h('span', {}, `${left} left for all`), speed ? h('span', {}, `${speed.toFixed(1)} s each`) : null,
    state.mine.agreement !== null ? h('span', {}, `${Math.round(100 * state.mine.agreement)} % agreement`) : null);
}

const keyOf = (place) => (place < 9 ? String(place + 1) : place === 9 ? '0' : '');

function labelButtons(chosen) {
  const labels = state.campaign.labels;
  if (labels.length)
    return h('div', { class: 'labels', role: 'group', 'aria-label': 'Labels' }, labels.map((label, place) =>
      h('button', { type: 'button', class: 'label' + (chosen === label ? ' chosen' : ''), 'aria-keyshortcuts': keyOf(place) || undefined,
        'aria-pressed': chosen === undefined ? undefined : String(chosen === label), onclick: () => give(label) },
      keyOf(place) ? h('kbd', { 'aria-hidden': 'true' }, keyOf(place)) : null, h('span', {}, label))));
  const field = h('input', { maxlength: 1000, required: true, autocomplete: 'off', value: chosen });
  return h('form', { onsubmit: (e) => { e.preventDefault(); if (field.value.trim()) give(field.value.trim()); } },
    h('label', {}, 'Label', field), h('button', { class: 'main' }, 'Save'));
}

const tool = (key, text, does) => h('button', { type: 'button', 'aria-keyshortcuts': key, onclick: does }, h('kbd', { 'aria-hidden': 'true' }, key), text);

function tools() {
  return h('div', { class: 'tools', role: 'group', 'aria-label': 'Tools' },
    tool('U', 'Undo', undo), tool('S', 'Skip', skip), tool('F', 'Flag', flag), tool('M', 'Model’s guess', guess),
    tool('G', 'Guideline', guidelineDialog), tool('B', state.batch ? 'One at a time' : 'Many at once', toggleBatch), tool('?', 'Help', help));
}

function drawItem() {
  if (state.view !== 'label') return;
  if (state.batch) return drawBatch();
  const one = state.shown;
  if (!one) {
    $('main').replaceChildren(h('div', { class: 'card empty' }, h('div', { class: 'big', 'aria-hidden': 'true' }, state.asking ? '…' : '✓'),
      h('h1', {}, state.asking ? 'Looking for work' : 'Nothing is left for you now'),
      h('p', { class: 'soft' }, state.asking ? '' : state.campaign.rounds === 0 ? 'No batch was handed out yet.' : state.unfinished > 0 ? 'What is left is before others. It comes back if they leave it.' : 'All that was handed out is labelled.'),
      state.asking ? null : h('div', { class: 'row center' }, h('button', { class: 'main', onclick: refill }, 'Look again'), state.last ? h('button', { onclick: undo }, 'Undo the last label') : null)));
    return;
  }
  const card = h('section', { class: 'card item', tabindex: -1, id: 'item', 'aria-label': `Item ${one.item}` },
    h('div', { class: 'id' }, h('span', {}, one.item), h('span', {}, [one.slice, one.round ? `round ${one.round}, rank ${one.rank}` : ''].filter(Boolean).join(' · '))),
    contentOf(one));
  const side = h('div', { class: 'stack' },
    state.correcting ? h('p', { class: 'note' }, `You called it “${state.correcting.label}”. Choose again, or `, h('kbd', {}, 'Esc'), ' to leave it.') : null,
    h('div', { id: 'guess', hidden: true, class: 'note warn', role: 'status' }),
    h('div', {}, labelButtons(state.correcting ? state.correcting.label : undefined), tools()));
  $('main').replaceChildren(progressBar(), h('div', { class: 'desk' }, card, side));
  state.shownAt = performance.now();
  state.hidden = 0;
  state.hiddenAt = document.hidden ? performance.now() : 0;
  card.focus({ preventScroll: true });
}

async function give(label) {
  if (state.batch) return giveCell(label);
  const one = state.shown;
  if (!one || $('dialog').open) return;
  performance.mark('key');
  const correcting = state.correcting;
  if (correcting && correcting.label === label) return next();
  const sent = outbox.add('/api/labels', { key: newKey(), item: one.item, label, seconds: shownSeconds() });
  if (!correcting) ++state.mine.labels;
  if (!correcting && state.unfinished > 0) --state.unfinished;
  remember(one.item);
  state.last = { one, label, sent };
  next();
  say(`${label}. ${state.shown ? `Next: ${state.shown.item}` : 'Nothing is left.'}`);
  requestAnimationFrame(() => performance.measure('next', 'key'));
}

/** Where labels change by review alone. */
async function propose(item, label) {
  const why = await askReason('Propose another label', `${item} has a label. It becomes “${label}” once another person approves it.`, 'Propose');
  if (!why) return;
  outbox.add('/api/proposals', { key: newKey(), item, label, why });
  toast('Proposed. A reviewer decides.');
}

/** Items that this page is done with: the server may still think that they are before us. */
function remember(item) {
  state.done = state.done || new Set();
  state.done.add(item);
  if (state.done.size > 500) state.done.delete(state.done.values().next().value);
}

function undo() {
  if (!state.last) return toast('There is nothing to undo on this page.');
  const { one, label, sent } = state.last;
  const unsent = localStorage.getItem(sent) !== null && outbox.sending !== sent;
  if (unsent) { localStorage.removeItem(sent); --state.mine.labels; ++state.unfinished; }
  if (state.shown) state.queue.unshift(state.shown);
  state.shown = one;
  state.correcting = { label, unsent };
  state.last = null;
  drawItem();
  say(`Back to ${one.item}, which you called ${label}.`);
}

function skip() {
  const one = state.shown;
  if (!one || state.batch) return;
  if (!state.correcting) { outbox.add('/api/return', { items: [one.item], skipped: true }); remember(one.item); }
  say(`Skipped ${one.item}.`);
  next();
}

async function flag() {
  const one = state.shown;
  if (!one) return;
  const why = await askReason('Flag this item', 'A reviewer sees it with your words: a broken picture, a case that the guideline leaves open.', 'Flag');
  if (why) { outbox.add('/api/flags', { key: newKey(), item: one.item, why }); toast('Flagged.'); }
}

async function guess() {
  const one = state.shown;
  if (!one) return;
  try {
    const said = await get(`/api/guess?item=${encodeURIComponent(one.item)}`);
    if (state.shown !== one) return;
    $('guess').textContent = said.label === null ? 'No model has looked at this item.' :
      `The model says ${said.label}` + (said.confidence === null ? '.' : `, with ${Math.round(100 * said.confidence)} %.`);
    $('guess').hidden = false;
  } catch (problem) { toast(problem.message); }
}

// ---- many at once

function toggleBatch() {
  state.batch = !state.batch;
  if (state.batch && state.shown) { if (!state.correcting) state.queue.unshift(state.shown); state.shown = null; }
  if (!state.batch) { state.queue.unshift(...state.cells.filter((c) => !c.label).map((c) => c.one)); state.cells = []; return next(); }
  state.cells = [];
  drawBatch();
}

async function drawBatch() {
  if (!state.cells.length) {
    if (state.queue.length < 12) await refill();
    state.cells = state.queue.splice(0, 12).map((one) => ({ one, label: null }));
    state.at = 0;
    state.shownAt = performance.now(); state.hidden = 0;
  }
  if (state.view !== 'label' || !state.batch) return;
  if (!state.cells.length) { state.shown = null; state.batch = false; drawItem(); return; }
  const cells = state.cells.map((cell, place) => h('button', { type: 'button', class: 'cell card' + (cell.label ? ' done' : ''), 'data-place': place,
    tabindex: place === state.at ? 0 : -1, 'aria-label': `${cell.one.item}: ${cell.label || 'no label yet'}`, onfocus: () => { state.at = place; } },
  contentOf(cell.one, true), h('span', { class: 'answer' }, cell.label || 'no label yet')));
  const labels = state.campaign.labels;
  const rest = labels.length ? h('select', { 'aria-label': 'Label for all the rest', onchange: (e) => { if (e.target.value) giveRest(e.target.value); } },
    h('option', { value: '' }, 'All the rest are …'), labels.map((label) => h('option', { value: label }, label))) : null;
  $('main').replaceChildren(progressBar(), h('div', { class: 'desk' }, h('div', { class: 'grid', role: 'group', 'aria-label': 'Items' }, cells),
    h('div', { class: 'stack' }, h('div', {}, labelButtons(), rest ? h('div', { class: 'tools' }, rest) : null, tools()))));
  const focus = $('main').querySelector(`[data-place="${state.at}"]`);
  if (focus) focus.focus({ preventScroll: false });
}

function giveCell(label) {
  const cell = state.cells[state.at];
  if (!cell) return;
  if (cell.label !== label) {
    const taken = state.cells.filter((c) => c.label).length;
    outbox.add('/api/labels', { key: newKey(), item: cell.one.item, label, seconds: taken ? 0 : shownSeconds() });
    if (!cell.label) { ++state.mine.labels; if (state.unfinished > 0) --state.unfinished; }
    cell.label = label;
    remember(cell.one.item);
  }
  const open = state.cells.findIndex((c, place) => !c.label && place > state.at);
  state.at = open >= 0 ? open : Math.max(0, state.cells.findIndex((c) => !c.label));
  say(`${cell.one.item}: ${label}.`);
  if (state.cells.every((c) => c.label)) { state.cells = []; }
  drawBatch();
}

function giveRest(label) {
  for (let place = state.cells.findIndex((c) => !c.label); place >= 0 && state.cells.length; place = state.cells.findIndex((c) => !c.label)) {
    state.at = place;
    const last = state.cells.filter((c) => !c.label).length === 1;
    giveCell(label);
    if (last) break;
  }
}

// ---- keys

document.addEventListener('keydown', (e) => {
  if (state.view !== 'label' || !state.keys || !state.me || e.ctrlKey || e.metaKey || e.altKey || $('dialog').open) return;
  if (/^(INPUT|TEXTAREA|SELECT)$/.test(e.target.tagName)) return;
  const columns = state.batch ? Math.max(1, Math.round($('main').querySelector('.grid').clientWidth / 178)) : 0;
  const moves = { ArrowRight: 1, ArrowLeft: -1, ArrowDown: columns, ArrowUp: -columns };
  if (state.batch && moves[e.key] !== undefined) {
    state.at = Math.min(state.cells.length - 1, Math.max(0, state.at + moves[e.key]));
    const cell = $('main').querySelector(`[data-place="${state.at}"]`);
    if (cell) cell.focus();
    e.preventDefault();
    return;
  }
  if (/^[0-9]$/.test(e.key)) {
    const label = state.campaign.labels[e.key === '0' ? 9 : Number(e.key) - 1];
    if (label !== undefined && !e.repeat) { e.preventDefault(); give(label); }
    return;
  }
  const does = { u: undo, s: skip, f: flag, m: guess, g: guidelineDialog, b: toggleBatch, '?': help,
    Escape: () => { if (state.correcting) next(); } }[e.key.length === 1 ? e.key.toLowerCase() : e.key];
  if (does && !e.repeat) { e.preventDefault(); does(); }
});

function help() {
  const rows = [['1 … 9, 0', 'label with the first to the tenth label'], ['U', 'undo: take the last label back, or change it'], ['S', 'skip: somebody else gets it'],
    ['F', 'flag, with a word to a reviewer'], ['M', 'what the model thinks; the ledger then says that you looked'], ['G', 'the guideline'],
    ['B', 'one at a time, or many at once; arrows move'], ['?', 'this help']];
  const on = h('input', { type: 'checkbox', onchange: (e) => { state.keys = e.target.checked; localStorage.setItem('poolwise.keys', state.keys ? 'on' : 'off'); } });
  on.checked = state.keys;
  openDialog('Keys', h('dl', { class: 'keys' }, rows.map(([key, text]) => [h('dt', {}, h('kbd', {}, key)), h('dd', {}, text)])),
    h('label', { class: 'tick' }, on, 'Single keys do this'),
    h('p', { class: 'soft small' }, 'What you do is kept in this browser until the server has it, also when the network is gone. Every label is sent once.'),
    h('div', { class: 'row' }, closeButton()));
}

// ---- guideline

function prose(text) {
  const made = h('div', { class: 'prose' });
  let list = null;
  for (const block of text.split('\n')) {
    const heading = /^(#{1,3})\s+(.*)/.exec(block), point = /^\s*[-*]\s+(.*)/.exec(block);
    if (point) { if (!list) made.append(list = h('ul')); list.append(h('li', {}, bold(point[1]))); continue; }
    list = null;
    if (heading) made.append(h(`h${Math.min(3, heading[1].length + 1)}`, {}, heading[2]));
    else if (block.trim()) made.append(h('p', {}, bold(block)));
  }
  return made;
}

async function guidelineDialog() {
  try {
    const said = await get('/api/guideline');
    openDialog(said.guideline ? `Guideline, version ${said.guideline}` : 'Guideline', said.text ? prose(said.text) : h('p', { class: 'soft' }, 'There is none yet.'),
      h('div', { class: 'row' }, closeButton()));
  } catch (problem) { toast(problem.message); }
}

async function drawGuideline() {
  const said = await get('/api/guideline');
  const may = ['manager', 'everything'].includes(state.me.role);
  const parts = [h('h1', {}, said.guideline ? `Guideline, version ${said.guideline}` : 'Guideline'),
    h('div', { class: 'card' }, said.text ? prose(said.text) : h('p', { class: 'soft' }, 'There is none yet. Every label names the version that it was made under.'))];
  if (may) {
    const text = h('textarea', { rows: 14, maxlength: 100000, 'aria-label': 'Text of the next version' });
    text.value = said.text;
    parts.push(h('form', { class: 'card', onsubmit: async (e) => {
      e.preventDefault();
      try { await post('/api/guideline', { text: text.value, after: said.guideline }); toast('Recorded.'); show('guideline'); } catch (problem) { toast(problem.message); }
    } }, h('h2', {}, `Version ${said.guideline + 1}`), h('label', {}, 'Text: # begins a heading, - a point, and **this** is bold', text), h('button', { class: 'main' }, 'Record this version')));
  }
  return parts;
}

// ---- review

function decide(does, done) {
  return async (e) => {
    const button = e.currentTarget;
    button.disabled = true;
    try { await does(); toast(done); show(state.view); } catch (problem) { toast(problem.message); button.disabled = false; }
  };
}
const reason = () => h('textarea', { rows: 2, maxlength: 2000, placeholder: 'Reason: it is recorded' });
const withReason = (field, does, done) => async (e) => {
  if (!field.value.trim()) { toast('Say why first.'); field.focus(); return; }
  await decide(() => does(field.value.trim()), done)(e);
};
const nothing = (title, text) => h('div', { class: 'card empty' }, h('div', { class: 'big', 'aria-hidden': 'true' }, '✓'), h('h2', {}, title), h('p', { class: 'soft' }, text));
const mayDecide = () => ['reviewer', 'manager', 'everything'].includes(state.me.role);

async function drawReview() {
  const said = await get('/api/proposals');
  const cards = said.proposals.map((one) => {
    const why = reason();
    const own = one.by === state.me.name;
    const rule = (approve) => withReason(why, (text) => post('/api/rulings', { key: newKey(), proposal: one.proposal, approve, why: text }), approve ? 'Approved.' : 'Declined.');
    return h('article', { class: 'card pair', 'aria-label': `Proposal for ${one.item}` }, h('div', { class: 'item' }, contentOf({ ...one, content: one.content })),
      h('div', {}, h('p', { class: 'change' }, h('del', {}, one.before), ' → ', h('ins', {}, one.label)),
        h('p', {}, `“${one.why}”`), h('p', { class: 'soft small' }, `${one.item} · proposed by ${one.by}, ${new Date(one.at_ms).toLocaleString()}`),
        own ? h('p', { class: 'note' }, 'It is yours: another person decides.') : !mayDecide() ? null :
          h('div', {}, h('label', {}, 'Reason', why), h('div', { class: 'row' }, h('button', { class: 'main', onclick: rule(true) }, 'Approve'), h('button', { onclick: rule(false) }, 'Decline')))));
  });
  return [h('header', {}, h('h1', {}, 'Review'), h('p', { class: 'soft' }, state.campaign.regulated ? 'Labels change here alone, by another person and with a reason.' : 'Changes of labels that somebody proposed.')),
    cards.length ? cards : nothing('Nothing to review', 'Proposals appear here.')];
}

async function drawConflicts() {
  const said = await get('/api/conflicts');
  const card = (one, about, path, done) => {
    const why = reason();
    const labels = state.campaign.labels.length ? state.campaign.labels : [...new Set((one.answers || []).map((a) => a.label))];
    return h('article', { class: 'card pair', 'aria-label': one.item }, h('div', { class: 'item' }, contentOf(one)),
      h('div', {}, about, !mayDecide() || !path ? null : h('div', {}, h('label', {}, 'Reason', why), h('div', { class: 'row' }, labels.filter((l) => l !== one.label || path === '/api/conflicts').map((label) =>
        h('button', { onclick: withReason(why, (text) => post(path, { key: newKey(), item: one.item, label, why: text }), done) }, label))))));
  };
  const conflicts = said.conflicts.map((one) => card(one, h('div', {}, h('h2', {}, one.item),
    h('p', { class: 'row' }, one.answers.map((a) => h('span', { class: 'chip' }, `${a.by}: ${a.label}`)))), '/api/conflicts', 'Settled.'));
  const flagged = said.flagged.map((one) => card(one, h('div', {}, h('h2', {}, one.item), one.flags.map((f) => h('p', {}, `“${f.why}” `, h('span', { class: 'soft' }, f.by))),
    h('p', { class: 'soft' }, one.label ? `It is called ${one.label}. Propose another label:` : 'It has no label yet.')), one.label ? '/api/proposals' : null, 'Proposed.'));
  return [h('header', {}, h('h1', {}, 'Conflicts'), h('p', { class: 'soft' }, 'Items whose answers differ. What you choose becomes the label, with your reason.')),
    conflicts.length ? conflicts : nothing('No conflicts', 'All answers agree.'), flagged.length ? [h('h2', {}, 'Flagged'), flagged] : null];
}

// ---- people

async function drawPeople() {
  const said = await get('/api/people');
  const parts = [h('h1', {}, 'People')];
  if (said.open) {
    parts.push(h('div', { class: 'card' }, h('p', { class: 'note warn' }, 'There are no passwords: everybody on this machine may do everything, under any name.'),
      h('p', {}, 'Make the first manager on the server, and start it again:'), h('pre', {}, 'poolwise serve DIR --person NAME --role manager')));
    return parts;
  }
  parts.push(h('div', { class: 'card scroll' }, h('table', {}, h('thead', {}, h('tr', {}, ['name', 'role', ''].map((t) => h('th', { scope: 'col' }, t)))),
    h('tbody', {}, said.people.map((one) => h('tr', {}, h('td', {}, one.name), h('td', {}, one.role), h('td', {}, one.off ? 'may not come in' : '')))))));
  if (state.me.role !== 'manager') return parts;
  const name = h('input', { required: true, maxlength: 40, autocomplete: 'off' }), password = h('input', { type: 'password', minlength: 10, autocomplete: 'new-password' }),
    role = h('select', {}, [['', 'as it is'], ['annotator'], ['reviewer'], ['manager'], ['auditor']].map(([value, text]) => h('option', { value }, text || value))),
    off = h('select', {}, h('option', { value: '' }, 'may come in'), h('option', { value: 'off' }, 'may not'));
  parts.push(h('form', { class: 'card', onsubmit: async (e) => {
    e.preventDefault();
    const body = { name: name.value.trim(), off: off.value === 'off' };
    if (role.value) body.role = role.value;
    if (password.value) body.password = password.value;
    try { await post('/api/people', body); toast('Recorded.'); show('people'); } catch (problem) { toast(problem.message); }
  } }, h('h2', {}, 'A new person, or a change'), h('div', { class: 'two' }, h('label', {}, 'Name', name), h('label', {}, 'Role', role),
    h('label', {}, 'Password, of a new one or anew', password), h('label', {}, 'Access', off)), h('button', { class: 'main' }, 'Save')));
  return parts;
}

// ---- dashboard

const tile = (value, text) => h('div', { class: 'card tile' }, h('b', {}, value), h('span', { class: 'soft small' }, text));

function meter(name, share, text) {
  const ns = 'http://www.w3.org/2000/svg';
  const svg = document.createElementNS(ns, 'svg');
  svg.setAttribute('preserveAspectRatio', 'none');
  svg.setAttribute('viewBox', '0 0 100 10');
  svg.setAttribute('aria-hidden', 'true');
  for (const [width, kind] of [[100, 'track'], [Math.max(0, Math.min(100, 100 * share)), 'fill']]) {
    const bar = document.createElementNS(ns, 'rect');
    bar.setAttribute('width', String(width));
    bar.setAttribute('height', '10');
    bar.setAttribute('class', kind);
    svg.append(bar);
  }
  return h('div', { class: 'meter' }, h('span', {}, name), svg, h('span', { class: 'soft' }, text));
}

function dashboardParts(said) {
  const minutes = said.label_hours < 1 ? `${Math.round(60 * said.label_hours)} min` : `${said.label_hours.toFixed(1)} h`;
  const most = Math.max(1, ...said.classes.map((c) => c.labelled));
  return [h('div', { class: 'tiles' }, tile(`${said.labelled}`, `labelled of ${said.picked} picked`), tile(`${said.waiting}`, 'waiting for somebody'), tile(`${said.leases}`, 'before people now'),
    tile(`${said.cost}`, `${said.unit} for all picks`), tile(minutes, 'spent labelling'), tile(`${said.conflicts}`, 'conflicts'), tile(`${said.proposals}`, 'proposals'), tile(`${said.flagged}`, 'flagged')),
  h('div', { class: 'two' },
    h('section', { class: 'card' }, h('h2', {}, 'By round'), said.by_round.map((r) => meter(`round ${r.name}`, r.labelled / Math.max(1, r.picked), `${r.labelled} of ${r.picked}`))),
    said.slices.some((s) => s.name) ? h('section', { class: 'card' }, h('h2', {}, 'By slice'), said.slices.map((s) => meter(s.name || 'none', s.labelled / Math.max(1, s.picked), `${s.labelled} of ${s.picked}`))) : null,
    said.classes.length ? h('section', { class: 'card' }, h('h2', {}, 'By label'), said.classes.map((c) => meter(c.name, c.labelled / most, `${c.labelled}`))) : null),
  h('section', { class: 'card scroll' }, h('h2', {}, 'People'), h('table', {}, h('thead', {}, h('tr', {}, h('th', { scope: 'col' }, 'name'),
    ['labels', 's each', 'agreement', 'skipped', 'flagged', 'changed'].map((t) => h('th', { scope: 'col', class: 'number' }, t)))),
  h('tbody', {}, said.people.map((p) => h('tr', {}, h('td', {}, p.name), [p.labels, p.median_seconds === null ? '' : p.median_seconds.toFixed(1),
    p.agreement === null ? '' : `${Math.round(100 * p.agreement)} %`, p.skipped, p.flagged, p.changed].map((v) => h('td', { class: 'number' }, String(v))))))))];
}

async function drawDashboard() {
  const said = await get('/api/dashboard');
  const live = h('div', { class: 'stack' }, dashboardParts(said));
  const frame = h('iframe', { title: 'Report of the campaign', src: '/api/report', sandbox: 'allow-scripts allow-downloads', loading: 'lazy' });
  clearInterval(state.live);
  state.live = setInterval(async () => {
    if (state.view !== 'dashboard') return clearInterval(state.live);
    if (document.hidden) return;
    try { live.replaceChildren(...dashboardParts(await get('/api/dashboard')).flat()); } catch { showSync(); }
  }, 5000);
  const auditor = ['auditor', 'manager', 'everything'].includes(state.me.role);
  return [h('h1', {}, 'Dashboard'), live, h('div', { class: 'row' }, h('h2', {}, 'Curves, cost, slices and forecast'), h('button', { onclick: () => { frame.src = '/api/report'; } }, 'Load again'),
    auditor ? [h('a', { class: 'button', href: '/api/audit' }, 'Audit (CSV)'), h('a', { class: 'button', href: '/api/events' }, 'Events (JSONL)')] : null), frame,
  h('p', { class: 'soft small' }, `Head of the ledger: ${said.head}`)];
}

// ---- who is here, and where

const views = {
  label: { text: 'Label', roles: 'annotator reviewer manager everything' },
  review: { text: 'Review', roles: 'reviewer manager auditor everything', draw: drawReview },
  conflicts: { text: 'Conflicts', roles: 'reviewer manager auditor everything', draw: drawConflicts },
  guideline: { text: 'Guideline', roles: 'annotator reviewer manager auditor everything', draw: drawGuideline },
  dashboard: { text: 'Dashboard', roles: 'reviewer manager auditor everything', draw: drawDashboard },
  people: { text: 'People', roles: 'manager auditor everything', draw: drawPeople },
};
const allowed = (name) => views[name] && views[name].roles.split(' ').includes(state.me.role);

function drawTabs() {
  $('tabs').replaceChildren(...Object.keys(views).filter(allowed).map((name) =>
    h('a', { href: `#${name}`, 'aria-current': name === state.view ? 'page' : undefined }, views[name].text)));
  const here = $('tabs').querySelector('[aria-current]');
  if (here) here.scrollIntoView({ block: 'nearest', inline: 'center' });
  $('who').textContent = state.me.name;
  $('who').setAttribute('aria-label', `${state.me.name}, ${state.me.role}: account`);
  $('campaign').textContent = state.campaign.name;
  document.title = `${views[state.view].text} · ${state.campaign.name}`;
}

async function show(name) {
  if (!state.me) return;
  state.view = allowed(name) ? name : Object.keys(views).find(allowed);
  drawTabs();
  if (state.view === 'label') {
    if (state.shown || state.batch) drawItem(); else next();
    return;
  }
  const asked = state.view;
  $('main').setAttribute('aria-busy', 'true');
  try {
    const parts = await views[asked].draw();
    if (state.view !== asked) return;
    $('main').replaceChildren(h('div', { class: 'stack' }, parts.flat(3)));
    $('main').focus({ preventScroll: true });
  } catch (problem) {
    if (problem.status === 401) { if (await comeBack().catch(() => false)) return show(name); return askLogin(); }
    $('main').replaceChildren(h('div', { class: 'card empty' }, h('h1', {}, 'This cannot be shown now'), h('p', { class: 'soft' }, problem.status ? problem.message : 'The server does not answer.'),
      h('button', { class: 'main', onclick: () => show(name) }, 'Try again')));
  } finally {
    $('main').removeAttribute('aria-busy');
  }
}

function account() {
  const parts = [h('p', {}, `${state.me.name}, ${state.me.role}.`)];
  if (!state.me.open) {
    const before = h('input', { type: 'password', required: true, autocomplete: 'current-password' }), after = h('input', { type: 'password', required: true, minlength: 10, autocomplete: 'new-password' });
    parts.push(h('form', { onsubmit: async (e) => {
      e.preventDefault();
      try { await post('/api/password', { before: before.value, after: after.value }); location.reload(); } catch (problem) { toast(problem.message); }
    } }, h('label', {}, 'Password', before), h('label', {}, 'New password', after), h('button', {}, 'Change it')));
  }
  openDialog('Account', ...parts, h('div', { class: 'row' }, closeButton(), h('button', { class: 'main', onclick: leave }, 'Log out')));
}

async function leave() {
  try {
    await outbox.flush();
    const held = [...state.queue, state.shown].filter(Boolean).map((one) => one.item);
    if (held.length) await post('/api/return', { items: held });
    await post('/api/logout', {});
    localStorage.removeItem('poolwise.name');
    location.reload();
  } catch (problem) { toast(problem.status ? problem.message : 'The server does not answer; what you did is kept here.'); }
}

function askLogin(text) {
  const session = state.session || {};
  const name = h('input', { required: true, maxlength: 40, autocomplete: 'username', value: localStorage.getItem('poolwise.name') || '' });
  const password = session.open ? null : h('input', { type: 'password', required: true, autocomplete: 'current-password' });
  const wrong = h('p', { class: 'missing', role: 'alert' });
  $('main').replaceChildren(h('form', { class: 'card login', onsubmit: async (e) => {
    e.preventDefault();
    wrong.textContent = '';
    try {
      const body = { name: name.value.trim() };
      if (password) body.password = password.value;
      state.me = { ...await post('/api/login', body), open: session.open };
      localStorage.setItem('poolwise.name', state.me.name);
      await begin();
    } catch (problem) { wrong.textContent = problem.status ? problem.message : 'The server does not answer.'; }
  } }, h('h1', {}, session.campaign || 'Labelling'), h('p', { class: 'soft' }, text || (session.open ? 'Say who you are: your labels carry the name.' : 'Log in to label.')),
  h('label', {}, 'Name', name), password ? h('label', {}, 'Password', password) : null, wrong, h('button', { class: 'main' }, 'Come in')));
  name.focus();
}

async function begin() {
  state.campaign = await get('/api/campaign');
  if (state.me.role !== 'auditor') state.mine = await get('/api/mine');
  outbox.flush();
  setInterval(async () => {
    if (state.me && state.me.role !== 'auditor' && !document.hidden)
      try { const mine = await get('/api/mine'); state.mine = { ...mine, labels: Math.max(mine.labels, state.mine.labels) }; } catch { showSync(); }
  }, 20000);
  setInterval(() => { if (state.view === 'label' && !document.hidden && state.shown) renew(); }, 120000);
  await show(location.hash.slice(1) || 'label');
}

/** Leases begin anew while somebody looks at the items. */
async function renew() {
  try { await post('/api/work', { count: state.queue.length + 1 }); } catch { showSync(); }
}

window.addEventListener('hashchange', () => show(location.hash.slice(1)));
window.addEventListener('online', () => { state.retry = 0; outbox.flush(); refill(); });
window.addEventListener('offline', showSync);
window.addEventListener('beforeunload', (e) => { if (state.me && state.campaign && outbox.names().length > 0 && state.retry === 0) e.preventDefault(); });
$('who').addEventListener('click', account);

(async () => {
  try {
    state.session = await get('/api/session');
    $('campaign').textContent = state.session.campaign;
    if (state.session.name) { state.me = state.session; await begin(); } else askLogin();
  } catch {
    $('main').replaceChildren(h('div', { class: 'card empty' }, h('h1', {}, 'The server does not answer'), h('button', { class: 'main', onclick: () => location.reload() }, 'Try again')));
  }
})();
