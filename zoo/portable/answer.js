// Shows an answer in a card: the label, how sure the network is, the image that it saw, and a bar for every class.

/** A probability as text: never exactly 100%, and without meaningless digits. */
export function percent(p) {
  if (p >= 0.9995) return '> 99.9%';
  return p < 0.0005 ? '0%' : `${(100 * p).toFixed(1)}%`;
}

/** An image of ink, 0 to 255, as a picture in a data URI. */
export function picture(image, height, width) {
  const canvas = Object.assign(document.createElement('canvas'), { height, width });
  const pixels = new Uint8ClampedArray(image.length * 4);
  image.forEach((value, index) => pixels.set([value, value, value, 255], 4 * index));
  canvas.getContext('2d').putImageData(new ImageData(pixels, width, height), 0, 0);
  return canvas.toDataURL();
}

/** Fills a card with what a network read; the card has the classes of `.reading` in answer.css. */
export function fill(card, network, found) {
  const { height, width } = network.file.contract;
  card.dataset.label = found.label;
  card.querySelector('.glyph').textContent = found.label;
  card.querySelector('.sure').firstChild.nodeValue = percent(found.confidence);
  card.querySelector('.seen img').src = picture(found.image, height, width);
  const rows = [...card.querySelectorAll('.bars li')];
  const shown = rows.filter(row => !row.classList.contains('rest')).length;
  const order = [...rows.keys()].sort((a, b) => found.probabilities[b] - found.probabilities[a]);
  if (shown < rows.length) order.forEach((index, rank) => { // the likeliest first
    rows[index].style.order = rank;
    rows[index].classList.toggle('rest', rank >= shown);
  });
  rows.forEach((row, index) => {
    row.classList.toggle('top', index === order[0]);
    row.querySelector('.track i').style.width = `${(100 * found.probabilities[index]).toFixed(2)}%`;
    row.querySelector('.value').textContent = percent(found.probabilities[index]);
  });
}

/** Calls a function with the newest of many values, at most once a frame. */
export function eachFrame(call) {
  let newest = null;
  let waiting = false;
  return value => {
    newest = value;
    if (waiting) return;
    waiting = true;
    requestAnimationFrame(() => {
      waiting = false;
      call(newest);
    });
  };
}
