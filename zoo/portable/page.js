// One network in a page of its own: it answers on every frame while the pen moves.
const network = await open(JSON.parse(document.querySelector('#network').textContent));
globalThis.handwriting = network; // for whoever opens the console
const card = document.querySelector('.reading');
const empty = document.querySelector('.message');

const show = eachFrame(({ strokes, size, pen, drawing }) => {
  card.setAttribute('aria-busy', drawing); // a screen reader waits until the pen is lifted
  const found = network.read(strokes, size, pen);
  card.hidden = !found;
  empty.hidden = Boolean(found);
  if (!found) return;
  fill(card, network, found);
  card.querySelector('.note').hidden = found.confidence >= (network.file.accepts ?? 0);
});
document.querySelector('#draw-pad').addEventListener('ink', event => show(event.detail));

function startPad(element, props, trigger) {
  {pad}
}
function startBars(element) {
  {bars}
}
startBars(card);
startPad(document.querySelector('#draw-pad'), { side: 1000, pen: PEN }, () => {});

if (navigator.language.startsWith('ar')) {
  Object.assign(document.documentElement, { lang: 'ar', dir: 'rtl' });
  for (const one of document.querySelectorAll('[data-ar]')) one.textContent = one.dataset.ar;
}
document.documentElement.dataset.ready = '';
