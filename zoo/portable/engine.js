// Runs a network in WebAssembly: its file lists calls of kernels (kernels.c), one after another, in one block of memory.
const KERNELS = '{kernels}'; // kernels.wasm as base64

const bytesOf = base64 => Uint8Array.from(atob(base64), character => character.charCodeAt(0));

/**
 * Opens a network.
 * @param {object} file what `scripts/export.py --format json` writes
 * @returns {Promise<{file: object, probabilities: (image: Uint8Array) => Float32Array,
 *   read: (strokes: number[][][], size: number, pen?: number) => object | null}>}
 */
export async function open(file) {
  const { memory, weights, data, image, answer, steps } = file.program;
  const { instance } = await WebAssembly.instantiate(bytesOf(KERNELS));
  const kernels = instance.exports;
  const start = Math.ceil(kernels.__heap_base.value / 16) * 4; // in numbers of four bytes, behind the kernels' stack
  const missing = (start + memory) * 4 - kernels.memory.buffer.byteLength;
  if (missing > 0) kernels.memory.grow(Math.ceil(missing / 65536));
  unpack(weights, bytesOf(data), new Float32Array(kernels.memory.buffer, start * 4, memory));
  const calls = steps.map(([name, places, numbers]) => {
    const kernel = kernels[`zoo_${name}`];
    const given = [...places.map(place => (start + place) * 4), ...numbers];
    return () => kernel(...given);
  });
  const input = new Uint8Array(kernels.memory.buffer, (start + image) * 4, file.contract.height * file.contract.width);
  const output = new Float32Array(kernels.memory.buffer, (start + answer) * 4, file.labels.length);

  function probabilities(image) {
    if (image.length !== input.length) throw new Error(`An image has ${input.length} pixels; this one has ${image.length}.`);
    input.set(image);
    for (const call of calls) call();
    return output.slice();
  }

  function read(strokes, size, pen = PEN) {
    const image = fromStrokes(strokes, file.contract, size, pen);
    if (!image) return null;
    const found = probabilities(image);
    const best = found.indexOf(Math.max(...found));
    return { label: file.labels[best], confidence: found[best], probabilities: found, image };
  }

  return { file, probabilities, read };
}

// Weights as float32: each array is [rows, columns, how it is stored].
function unpack(weights, data, numbers) {
  const view = new DataView(data.buffer);
  let [from, to] = [0, 0];
  for (const [rows, columns, stored] of weights) {
    const count = rows * columns;
    if (stored === 'float32') {
      for (let i = 0; i < count; i++) numbers[to + i] = view.getFloat32(from + 4 * i, true);
      from += 4 * count;
    } else if (stored === 'float16') {
      for (let i = 0; i < count; i++) numbers[to + i] = half(view.getUint16(from + 2 * i, true));
      from += 2 * count;
    } else if (stored === 'int8') {
      const whole = from + 4 * columns; // behind the scale of each column
      for (let i = 0; i < count; i++) numbers[to + i] = view.getInt8(whole + i) * view.getFloat32(from + 4 * (i % columns), true);
      from = whole + count;
    }
    to += count;
  }
}

// A float16 by its bits.
function half(bits) {
  const sign = bits & 0x8000 ? -1 : 1;
  const exponent = (bits >> 10) & 0x1f;
  const fraction = bits & 0x3ff;
  return sign * (exponent ? 2 ** (exponent - 15) * (1 + fraction / 1024) : 2 ** -14 * (fraction / 1024));
}
