// The sketch-pad: strokes as vectors, sharp at any size. Its value is {strokes: [[[x, y], …], …], size},
// sent when the pen is lifted, on undo and on clear. `element`, `props` and `trigger` come from gr.HTML.
const pad = element.querySelector('.pad');
const sheet = pad.querySelector('.sheet');
const ink = pad.querySelector('.ink');
const undo = pad.querySelector('.undo');
const clear = pad.querySelector('.clear');
const side = props.side;
let width = props.pen; // of the pen, as a fraction of the pad's side
let strokes = [];
let pen = null; // the stroke being drawn: {id, points, path}

const within = (value, start, length) => Math.round(Math.min(1, Math.max(0, (value - start) / length)) * side);

function extend(event) {
  const box = sheet.getBoundingClientRect();
  const events = event.getCoalescedEvents?.() ?? [];
  for (const { clientX, clientY } of events.length ? events : [event]) {
    const point = [within(clientX, box.left, box.width), within(clientY, box.top, box.height)];
    const last = pen.points.at(-1);
    if (!last || last[0] !== point[0] || last[1] !== point[1]) pen.points.push(point);
  }
  const [first, ...rest] = pen.points;
  pen.path.setAttribute('d', `M${first}` + (rest.length ? rest.map(point => `L${point}`).join('') : 'h0'));
  tell();
}

// Whoever listens on the page follows the pen: each point as it is drawn, and each change. Returns whether the server
// is to answer: who answers instead prevents that.
function tell() {
  const detail = { strokes: pen ? [...strokes, pen.points] : strokes, size: side, pen: width, drawing: pen !== null };
  return pad.dispatchEvent(new CustomEvent('ink', { bubbles: true, cancelable: true, detail }));
}

function show() {
  const empty = strokes.length === 0;
  pad.classList.toggle('drawn', !empty || pen !== null);
  undo.disabled = clear.disabled = empty;
}

function send() {
  show();
  props.value = { strokes: strokes.map(points => [...points]), size: side, pen: width };
  if (tell()) trigger('input');
}

function lift(event) {
  if (pen?.id !== event.pointerId) return;
  strokes.push(pen.points);
  pen = null;
  send();
}

sheet.addEventListener('pointerdown', event => {
  if (pen || !event.isPrimary || event.button !== 0) return;
  event.preventDefault();
  sheet.setPointerCapture(event.pointerId);
  const path = document.createElementNS('http://www.w3.org/2000/svg', 'path');
  pen = { id: event.pointerId, points: [], path: ink.appendChild(path) };
  extend(event);
  show();
});
sheet.addEventListener('pointermove', event => {
  if (pen?.id === event.pointerId) extend(event);
});
sheet.addEventListener('pointerup', lift);
sheet.addEventListener('pointercancel', lift);

undo.addEventListener('click', () => {
  strokes.pop();
  ink.lastElementChild?.remove();
  send();
});
clear.addEventListener('click', () => {
  strokes = [];
  ink.replaceChildren();
  send();
});

// Thickness: three nibs in turn.
const nib = pad.querySelector('.nib');
const NIBS = [['medium', 1, 5], ['broad', 2, 8], ['fine', 0.5, 3]]; // name, times the usual width, radius on the button
nib.addEventListener('click', () => {
  NIBS.push(NIBS.shift());
  const [name, times, radius] = NIBS[0];
  width = props.pen * times;
  ink.setAttribute('stroke-width', width * side);
  nib.querySelector('circle').setAttribute('r', radius);
  nib.setAttribute('aria-label', `Thickness of the pen: ${name}`);
  if (strokes.length) send();
});

// The keyboard's pen: a cursor that arrow keys move by a fortieth of the pad.
const cursor = pad.querySelector('.cursor');
const STEPS = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };
let place = [side / 2, side / 2];

function moveCursor() {
  cursor.setAttribute('cx', place[0]);
  cursor.setAttribute('cy', place[1]);
  cursor.classList.toggle('down', pen?.id === 'keys');
}

function trace() {
  pen.points.push([...place]);
  const [first, ...rest] = pen.points;
  pen.path.setAttribute('d', `M${first}` + (rest.length ? rest.map(point => `L${point}`).join('') : 'h0'));
  tell();
}

sheet.addEventListener('keydown', event => {
  const step = STEPS[event.key];
  if (step) {
    place = place.map((value, axis) => Math.min(side, Math.max(0, value + step[axis] * side / 40)));
    if (pen?.id === 'keys') trace();
  } else if (event.key === ' ') {
    if (pen?.id === 'keys') lift({ pointerId: 'keys' });
    else if (!pen) {
      const path = document.createElementNS('http://www.w3.org/2000/svg', 'path');
      pen = { id: 'keys', points: [], path: ink.appendChild(path) };
      trace();
      show();
    }
  } else if (event.key === 'Backspace') undo.click();
  else if (event.key === 'Escape') clear.click();
  else return;
  event.preventDefault();
  moveCursor();
});
sheet.addEventListener('blur', () => pen?.id === 'keys' && lift({ pointerId: 'keys' }));
moveCursor();
pad.classList.add('listening');
