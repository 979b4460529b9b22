// Answers in this browser, on every frame while the pen moves, once the networks that are asked are here. Until then,
// for explanations, and for networks that are too large, the server answers. `props.local` has the networks' names.
const home = new URL('networks/', document.baseURI);
const here = new Map(); // name -> {network, file}, once it is opened
const coming = new Map(); // name -> promise of the same
const failed = new Set(); // names that this browser cannot run, or the server cannot give
let engine = null; // promise of the module
let tools = null; // the module, once it is there
let sketch = null; // what the pad showed last
let mine = null; // the answer that this script shows; null where the server's is shown

async function bring(name) {
  engine ??= import(new URL('engine.js', home)).catch(error => { engine = null; throw error; });
  const [module, answer] = await Promise.all([engine, fetch(new URL(`${name}.json`, home))]);
  if (!answer.ok) throw new Error(`${name}: ${answer.status}`);
  const file = await answer.json();
  tools = module;
  here.set(name, { file, network: await module.open(file.network) });
}

function fetchAll(names) {
  for (const name of names) {
    if (!props.local.networks.includes(name) || here.has(name) || coming.has(name) || failed.has(name)) continue;
    const given = bring(name).catch(() => { if (navigator.onLine) failed.add(name); });
    coming.set(name, given.finally(() => coming.delete(name)));
  }
}

// Whom the visitor asks, as choice.js says it to the server.
function asked() {
  const form = document.querySelector('#draw-choice form');
  const chip = form.querySelector('input[type=radio]:checked');
  if (chip) return { script: chip.value, models: chip.dataset.models.split(' ') };
  return { script: '', models: [...form.querySelectorAll('input[type=checkbox]:checked')].map(one => one.value) };
}

const explains = () => document.querySelector('#draw-why input')?.checked;

function certainty({ network, found }) {
  return tools.certainty(network.file, found.probabilities, props.local.alike);
}

function part(html) {
  const holder = document.createElement('template');
  holder.innerHTML = html;
  return holder.content.querySelector('.reading');
}

// One network's answer, in a card that the server's templates made; `all` are those of the networks that were asked.
function filled(card, one, all) {
  const { network, file, found } = one;
  tools.fill(card, network, found);
  const index = network.file.labels.indexOf(found.label);
  const script = card.querySelector('.script');
  if (script) script.textContent = file.titles[index];
  const value = card.querySelector('.sure small');
  if (value) value.textContent = `the digit ${file.values[index]}`;
  const answers = all.map(({ network: { file: { labels } }, found: { probabilities } }) => ({ labels, probabilities }));
  const alike = tools.rivals(found.label, answers, props.local.alike);
  const [doubt, twin] = card.querySelectorAll('.note');
  if (certainty(one) >= 0) doubt.remove();
  if (!alike.length) twin.remove();
  else twin.querySelectorAll('b').forEach((bold, at) => { bold.textContent = at ? alike.join(', ') : found.label; });
  return card;
}

// One card for networks of several scripts: the one that is most certain, or none.
function anything(all) {
  const sure = all.map(certainty);
  const chosen = tools.choose(sure);
  const first = all[chosen ?? 0];
  const card = chosen === null ? part(first.file.none) : filled(part(first.file.any), first, all);
  if (chosen === null) {
    const { height, width } = first.network.file.contract;
    card.querySelector('.seen img').src = tools.picture(first.found.image, height, width);
  }
  card.querySelector('.asked').replaceChildren(...all.map((one, at) => {
    const row = part(one.file.any).querySelector('.asked li');
    const index = one.network.file.labels.indexOf(one.found.label);
    row.className = `${at === chosen ? 'top' : ''}${sure[at] < 0 ? ' refused' : ''}`;
    row.querySelector('span').textContent = one.file.titles[index];
    row.querySelector('.label').textContent = one.found.label;
    if (sure[at] >= 0) row.querySelector('.value').textContent = tools.percent(one.found.confidence);
    return row;
  }));
  return [card];
}

function put(html) {
  mine = html;
  element.setAttribute('aria-busy', Boolean(sketch?.drawing)); // a screen reader waits until the pen is lifted
  props.value = html;
}

// Shows what the networks that are asked read; whether they could.
function show() {
  const question = asked();
  const all = question.models.map(name => here.get(name));
  if (!sketch || !all.length || !all.every(Boolean)) return false;
  if (!sketch.strokes.length) {
    put(props.empty);
    return true;
  }
  const read = all.map(one => ({ ...one, found: one.network.read(sketch.strokes, sketch.size, sketch.pen) }));
  const cards = question.script === 'anything' ? anything(read) : read.map(one => filled(part(one.file.card), one, read));
  put(`<div class="readings">${cards.map(card => card.outerHTML).join('')}<p class="where">Read in this browser</p></div>`);
  return true;
}

let waiting = false;
function onNextFrame() {
  if (waiting) return;
  waiting = true;
  requestAnimationFrame(() => {
    waiting = false;
    if (sketch.drawing) show();
  });
}

// The pad and the question ask here first; what is answered here is not sent.
function offer(event) {
  element.setAttribute('aria-busy', false);
  fetchAll(asked().models);
  if (!explains() && show()) return event.preventDefault();
  mine = null;
  if (navigator.onLine) return;
  event.preventDefault();
  put(props.offline);
}
document.addEventListener('ink', event => {
  sketch = event.detail;
  if (sketch.drawing) onNextFrame();
  else offer(event);
});
document.addEventListener('ask', event => {
  if (event.target.closest('#draw-choice')) offer(event);
});
document.addEventListener('change', event => {
  if (event.target.closest('#draw-why')) mine = null; // explanations come from the server
}, true);
watch('value', () => { // an answer of the server that comes late
  if (mine !== null && props.value !== mine) props.value = mine;
});

// What is asked at first comes at once, then one network of each script, for when the connection is lost.
const idle = window.requestIdleCallback ?? (call => setTimeout(call, 500));
idle(async () => {
  if (navigator.connection?.saveData) return; // then they come with the first stroke
  for (let tries = 0; tries < 100 && !document.querySelector('#draw-choice form'); tries++) await new Promise(done => setTimeout(done, 100));
  fetchAll(asked().models);
  await Promise.all(coming.values());
  for (const chip of document.querySelectorAll('#draw-choice input[type=radio]')) fetchAll(chip.dataset.models.split(' '));
  await Promise.all(coming.values());
  await keepPage().catch(() => {}); // where there is no place for it, the page opens only with a connection
  document.querySelector('#draw-answer')?.setAttribute('data-local', here.size);
});

// Keeps the page and what it has loaded in this browser, so that worker.js can open it without a connection.
async function keepPage() {
  if (!navigator.serviceWorker || !navigator.onLine) return;
  await navigator.serviceWorker.register(new URL('worker.js', home), { scope: new URL('.', document.baseURI).pathname });
  const loaded = performance.getEntriesByType('resource').map(one => new URL(one.name));
  const ours = loaded.filter(({ origin, pathname }) => origin === location.origin && /\/(assets|static|networks)\/|\.css$/.test(pathname));
  const wanted = [document.baseURI, ...ours.map(String)];
  const kept = await caches.open('page');
  await Promise.all(wanted.map(address => kept.add(address)));
  for (const one of await kept.keys()) if (!wanted.includes(one.url)) await kept.delete(one); // of an earlier version
}
