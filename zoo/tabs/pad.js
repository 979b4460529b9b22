// The sketch-pad: strokes as vectors, sharp at any size. Its value is {strokes: [[[x, y], …], …], size},
// sent when the pen is lifted, on undo and on clear. `element`, `props` and `trigger` come from gr.HTML.
const pad = element.querySelector('.pad');
const sheet = pad.querySelector('.sheet');
const ink = pad.querySelector('.ink');
const undo = pad.querySelector('.undo');
const clear = pad.querySelector('.clear');
const side = props.side;
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
}

function show() {
  const empty = strokes.length === 0;
  pad.classList.toggle('drawn', !empty || pen !== null);
  undo.disabled = clear.disabled = empty;
}

function send() {
  show();
  props.value = { strokes: strokes.map(points => [...points]), size: side };
  trigger('input');
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
pad.classList.add('listening');
