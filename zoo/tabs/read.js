// A tap on a box opens a small menu: the likeliest labels, any other, or that it is no glyph. The text follows.
function rewrite(page) {
  const lines = [...page.querySelectorAll('.said')].map(line =>
    [...line.querySelectorAll('[data-glyph]')].map(letter => letter.textContent).join(page.dataset.separator));
  page.dataset.text = lines.filter(line => line).join('|');
}

function change(page, glyph, label) {
  for (const part of page.querySelectorAll(`[data-glyph="${glyph}"]`)) {
    if (label === null) { part.remove(); continue; }
    part.classList.remove('unsure');
    const text = part.querySelector('text, figcaption') ?? part;
    text.textContent = label;
    if (part.hasAttribute('aria-label')) part.setAttribute('aria-label', label);
  }
  rewrite(page);
}

function close(page, box) {
  page.querySelector('.correct')?.remove();
  box?.focus();
}

function open(page, box) {
  close(page);
  const menu = document.createElement('form');
  menu.className = 'correct';
  menu.setAttribute('aria-label', 'Correct this glyph');
  const pick = label => { change(page, box.dataset.glyph, label); close(page, label === null ? null : box); };
  const button = (text, label, name) => {
    const made = document.createElement('button');
    made.type = 'button';
    made.textContent = text;
    if (name) made.className = name;
    made.addEventListener('click', () => pick(label));
    menu.append(made);
    return made;
  };
  const first = box.dataset.likeliest.split(' ').map(label => button(label, label, 'label'))[0];
  const other = document.createElement('input');
  other.maxLength = 8;
  other.placeholder = 'Other';
  other.setAttribute('aria-label', 'Another label');
  menu.append(other);
  button('Not a glyph', null, 'drop');
  menu.addEventListener('submit', event => { event.preventDefault(); if (other.value.trim()) pick(other.value.trim()); });
  menu.addEventListener('keydown', event => { if (event.key === 'Escape') close(page, box); });
  const figure = page.querySelector('figure');
  const place = box.querySelector('rect').getBoundingClientRect(), around = figure.getBoundingClientRect();
  figure.append(menu);
  menu.style.top = `${place.bottom - around.top + 6}px`;
  menu.style.left = `${Math.max(0, Math.min(place.left - around.left, around.width - menu.offsetWidth))}px`;
  first.focus();
}

element.addEventListener('click', event => {
  const box = event.target.closest('svg g[data-glyph]');
  if (box) open(box.closest('.page'), box);
});
element.addEventListener('keydown', event => {
  const box = event.target.closest('svg g[data-glyph]');
  if (box && (event.key === 'Enter' || event.key === ' ')) { event.preventDefault(); open(box.closest('.page'), box); }
});
