// A sketch becomes the image that a network reads: what zoo/ink/placing.py does in Python. Strokes are drawn 8 times too
// large, as OpenCV draws thick lines (fixed-point coordinates, whole-pixel edges), then averaged.
export const PEN = 0.045; // usual width of the pen, as a share of the pad's side
const BLOB = 0.9; // share of its convex hull that a dot or a bar covers, whose thickness is its shape
const SCALE = 8; // sub-pixels a pixel, each way
const ONE = 65536; // coordinates of lines are whole numbers of 1 / ONE sub-pixels

/**
 * Draws a sketch the way a network's dataset looks.
 * @param {number[][][]} strokes each a list of [x, y] points; what lies beyond the pad is drawn on its edge
 * @param {object} contract what the network's images look like: `contract` of its file
 * @param {number} frame side of the pad, in the unit of the points
 * @param {number} [pen] width of the pen as a share of the pad's side
 * @returns {Uint8Array | null} height * width values, 0 is background and 255 full ink; null where nothing is drawn
 */
export function fromStrokes(strokes, contract, frame, pen = PEN) {
  const within = value => Math.min(frame, Math.max(0, value));
  const lines = strokes.filter(stroke => stroke.length).map(stroke => stroke.map(point => point.map(within)));
  if (!lines.length) return null;
  const points = lines.flat();
  const corner = [0, 1].map(axis => points.reduce((least, point) => Math.min(least, point[axis]), Infinity));
  const extent = [0, 1].map(axis => points.reduce((most, point) => Math.max(most, point[axis]), -Infinity) - corner[axis]);
  pen *= frame;
  const drawn = extent.map(side => side + pen);
  let box = [contract.box_width, contract.box_height];
  if (contract.scale === 'pen') box = boxOfPen(contract, pen * Math.min(...scaleOf(drawn, box, contract.aspect)));
  const asDrawn = scaleOf(drawn, box, contract.aspect);
  let stroke = pen * Math.min(...asDrawn);
  if (stroke <= contract.stroke || !isBlob(draw(lines, corner, asDrawn, stroke))) stroke = contract.stroke;
  stroke = Math.max(1, roundEven(stroke * SCALE)) / SCALE;
  const scale = scaleOf(extent, box.map(side => side - stroke), contract.aspect);
  return place(shrink(draw(lines, corner, scale, stroke)), contract);
}

function roundEven(value) {
  const whole = Math.floor(value);
  if (value - whole !== 0.5) return Math.round(value);
  return whole % 2 === 0 ? whole : whole + 1;
}

const clip = (value, low, high) => Math.min(high, Math.max(low, value));

// The box of a glyph whose pen is `pen` pixels broad once it fills the box.
function boxOfPen({ box_width, box_height, width, height, stroke }, pen) {
  const factor = clip(Math.sqrt(stroke / pen), 0.6, 1.2);
  return [[box_width, width], [box_height, height]].map(([side, most]) => Math.min(most, Math.max(1, roundEven(side * factor))));
}

// Scale of x and y that fits an extent in a box; a side without extent takes the other's scale.
function scaleOf(extent, box, aspect) {
  let scale = extent.map((side, axis) => (side > 0 ? box[axis] / side : Infinity));
  if (aspect === 'keep' || !scale.every(Number.isFinite)) scale = scale.fill(Math.min(...scale));
  return scale.map(value => (Number.isFinite(value) ? value : 0));
}

// Lines on a canvas that just holds them: {width, height, pixels}, a pixel is 0 or 1.
function draw(lines, corner, scale, stroke) {
  const thickness = roundEven(stroke * SCALE);
  const paths = lines.map(line => line.map(point => point.map((value, axis) =>
    roundEven(((value - corner[axis]) * scale[axis] * SCALE + (thickness - 1) / 2) * 16))));
  const [width, height] = [0, 1].map(axis =>
    roundEven(paths.flat().reduce((most, point) => Math.max(most, point[axis]), 0) / 16 + (thickness + 1) / 2));
  const canvas = { width, height, pixels: new Uint8Array(width * height) };
  const disc = reaches((thickness + 1) >> 1);
  for (const path of paths) {
    const [first, ...rest] = path.map(point => point.map(value => value * (ONE / 16)));
    let from = first;
    stamp(canvas, disc, from);
    for (const to of rest) {
      if (from[0] !== to[0] || from[1] !== to[1]) fillConvex(canvas, band(from, to, thickness));
      stamp(canvas, disc, to);
      from = to;
    }
  }
  return canvas;
}

// How far a disc reaches to either side, in each row from its middle: a circle by its midpoints.
function reaches(radius) {
  const found = new Array(radius + 1).fill(0);
  for (let x = radius, y = 0, error = 0; x >= y; y++) {
    found[y] = Math.max(found[y], x);
    found[x] = Math.max(found[x], y);
    error += 2 * y + 1;
    if (error > 0) error -= 2 * x-- - 1;
  }
  return found;
}

function stamp(canvas, disc, [x, y]) {
  const middle = Math.floor((x + ONE / 2) / ONE);
  const row = Math.floor((y + ONE / 2) / ONE);
  disc.forEach((reach, away) => {
    span(canvas, row - away, middle - reach, middle + reach);
    span(canvas, row + away, middle - reach, middle + reach);
  });
}

function span({ width, height, pixels }, row, from, to) {
  if (row < 0 || row >= height || to < 0 || from >= width) return;
  pixels.fill(1, row * width + Math.max(0, from), row * width + Math.min(width - 1, to) + 1);
}

// The four corners of a thick line.
function band([x0, y0], [x1, y1], thickness) {
  const [dx, dy] = [(x0 - x1) / ONE, (y1 - y0) / ONE];
  const half = (thickness * ONE / 2 + (thickness & 1) * ONE / 2) / Math.sqrt(dx * dx + dy * dy);
  const [across, down] = [roundEven(dy * half), roundEven(dx * half)];
  return [[x0 + across, y0 + down], [x0 - across, y0 - down], [x1 - across, y1 - down], [x1 + across, y1 + down]];
}

// Fill a convex shape, its outline included; every row of it is one span.
function fillConvex(canvas, corners) {
  const rounded = value => Math.floor((value + ONE / 2) / ONE);
  const top = Math.min(...corners.map(corner => rounded(corner[1])));
  const bottom = Math.max(...corners.map(corner => rounded(corner[1])));
  const from = new Array(bottom - top + 1).fill(Infinity);
  const to = new Array(bottom - top + 1).fill(-Infinity);
  const put = (x, row) => {
    if (row < top || row > bottom) return;
    from[row - top] = Math.min(from[row - top], x);
    to[row - top] = Math.max(to[row - top], x);
  };
  corners.forEach((corner, index) => {
    const next = corners[(index + 1) % corners.length];
    outline(corner, next, put);
    const [upper, lower] = rounded(corner[1]) < rounded(next[1]) ? [corner, next] : [next, corner];
    const [start, end] = [rounded(upper[1]), rounded(lower[1])];
    const step = Math.trunc((2 * (lower[0] - upper[0]) + end - start) / (2 * (end - start)));
    for (let row = start; row < end; row++) put(rounded(upper[0] + (row - start) * step), row);
  });
  from.forEach((left, row) => left <= to[row] && span(canvas, top + row, left, to[row]));
}

// The pixels of a line that is one pixel wide.
function outline(one, other, put) {
  const steep = Math.abs(other[0] - one[0]) <= Math.abs(other[1] - one[1]);
  const main = steep ? 1 : 0;
  const [start, end] = one[main] <= other[main] ? [one, other] : [other, one];
  const length = end[main] - start[main];
  const step = Math.trunc((end[1 - main] - start[1 - main]) * ONE / (length | 1));
  let at = Math.floor((start[main] + ONE / 2) / ONE);
  let aside = start[1 - main] + ONE / 2;
  const mark = (along, across) => (steep ? put(across, along) : put(along, across));
  mark(Math.floor((end[main] + ONE / 2) / ONE), Math.floor((end[1 - main] + ONE / 2) / ONE));
  for (let count = Math.floor(length / ONE); count >= 0; count--, at++, aside += step) mark(at, Math.floor(aside / ONE));
}

// Whether ink fills its convex hull.
function isBlob({ width, height, pixels }) {
  const edge = [];
  let ink = 0;
  for (let row = 0; row < height; row++) {
    const line = pixels.subarray(row * width, (row + 1) * width);
    if (line.indexOf(1) < 0) continue;
    edge.push([line.indexOf(1), row], [line.lastIndexOf(1), row]);
    ink += line.reduce((sum, pixel) => sum + pixel, 0);
  }
  const filled = { width, height, pixels: new Uint8Array(width * height) };
  fillConvex(filled, hull(edge).map(point => point.map(value => value * ONE)));
  return ink >= BLOB * filled.pixels.reduce((sum, pixel) => sum + pixel, 0);
}

// The convex hull of points, by Andrew's monotone chain.
function hull(points) {
  const sorted = [...points].sort((a, b) => a[0] - b[0] || a[1] - b[1]);
  const turn = (a, b, c) => (b[0] - a[0]) * (c[1] - a[1]) - (b[1] - a[1]) * (c[0] - a[0]);
  const chain = list => {
    const kept = [];
    for (const point of list) {
      while (kept.length > 1 && turn(kept.at(-2), kept.at(-1), point) <= 0) kept.pop();
      kept.push(point);
    }
    return kept.slice(0, -1);
  };
  const around = [...chain(sorted), ...chain(sorted.reverse())];
  return around.length ? around : points.slice(0, 1);
}

// The mean of blocks of SCALE x SCALE sub-pixels, 0 to 255.
function shrink({ width, height, pixels }) {
  const small = { width: Math.ceil(width / SCALE), height: Math.ceil(height / SCALE) };
  small.pixels = new Float64Array(small.width * small.height);
  for (let row = 0; row < height; row++)
    for (let column = 0; column < width; column++)
      small.pixels[Math.floor(row / SCALE) * small.width + Math.floor(column / SCALE)] += pixels[row * width + column];
  small.pixels = small.pixels.map(count => count * 255 / (SCALE * SCALE));
  return small;
}

// A fitted glyph moved by whole pixels onto the contract's center.
function place({ width, height, pixels }, contract) {
  let [x, y, total] = [0, 0, 0];
  pixels.forEach((value, index) => {
    x += value * (index % width);
    y += value * Math.floor(index / width);
    total += value;
  });
  const mass = contract.centring === 'mass';
  x = mass ? x / total : (width - 1) / 2;
  y = mass ? y / total : (height - 1) / 2;
  const left = clip(roundEven(contract.centre_x - x), 0, contract.width - width);
  const top = clip(roundEven(contract.centre_y - y), 0, contract.height - height);
  const image = new Uint8Array(contract.height * contract.width);
  pixels.forEach((value, index) => {
    image[(top + Math.floor(index / width)) * contract.width + left + (index % width)] = roundEven(value);
  });
  return image;
}
