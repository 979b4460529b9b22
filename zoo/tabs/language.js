// English or Arabic: by the browser's language, by `?language=ar`, or by this button, whose state is stored.
// The sentences are in translation.js.
const button = element.querySelector('button');
const ATTRIBUTES = ['aria-label', 'placeholder', 'title', 'alt'];
const NAMES = 'code, pre, script, style, textarea, [translate="no"], [contenteditable]'; // are no sentences
const page = document.querySelector('.gradio-container');
const asked = new URLSearchParams(location.search).get('language');
let language = asked ?? localStorage.getItem('language') ?? (navigator.language.startsWith('ar') ? 'ar' : 'en');

const arabicOf = translator(props.arabic, props.counted);
const originals = new WeakMap(); // text node -> {english, shown}

function english(node) {
  const known = originals.get(node);
  return known && known.shown === node.nodeValue ? known.english : node.nodeValue;
}

function put(node, text, shown) {
  originals.set(node, { english: text, shown });
  if (node.nodeValue !== shown) node.nodeValue = shown;
}

function around(text, words) { // with the spaces at the ends of a text
  return text.match(/^\s*/)[0] + words + text.match(/\s*$/)[0];
}

// The Arabic words around the elements in a text; none where the catalogue has no such sentence.
function whole(nodes) {
  const text = nodes.map(node => node.nodeType === Node.TEXT_NODE ? english(node) : elementOf(node.textContent)).join('').trim();
  const [, before, inner, after] = text.match(AROUND); // an icon is no part of a sentence
  for (const [start, key, end] of [[before, inner, after], ['', text, '']]) {
    const words = arabicOf(key)?.split(ELEMENT);
    if (words?.length !== key.split(ELEMENT).length) continue;
    const blanks = side => Array(side.split(ELEMENT).length - 1).fill('');
    return [...blanks(start), ...words, ...blanks(end)];
  }
}

// Words with a space where the English has one next to an element.
function apart(text, words) {
  if (!words) return words;
  return (/^\s/.test(text) && !/^\s/.test(words) ? ' ' : '') + words + (/\s$/.test(text) && !/\s$/.test(words) ? ' ' : '');
}

// The words of one element: as a whole where elements are among them, else each text for itself.
function say(one) {
  if (one.closest(NAMES)) return;
  const nodes = [...one.childNodes].filter(node => node.nodeType === Node.TEXT_NODE || node.nodeType === Node.ELEMENT_NODE);
  const texts = nodes.filter(node => node.nodeType === Node.TEXT_NODE);
  if (!texts.some(node => /[A-Za-z]/.test(english(node)))) return;
  if (language !== 'ar') {
    for (const node of texts) put(node, english(node), english(node));
    return;
  }
  const words = texts.length < nodes.length && whole(nodes);
  if (words) {
    let slot = 0, filled = false;
    for (const node of nodes) {
      if (node.nodeType === Node.ELEMENT_NODE) { slot += 1; filled = false; continue; }
      put(node, english(node), filled ? '' : apart(english(node), words[slot]));
      filled = true;
    }
    return;
  }
  for (const node of texts) {
    const text = english(node), arabic = arabicOf(text);
    put(node, text, arabic === undefined ? text : around(text, arabic));
  }
}

function sayAttributes(one) {
  if (one.closest('pre, [translate="no"]')) return;
  for (const name of ATTRIBUTES) {
    const now = one.getAttribute(name);
    if (now === null) continue;
    const kept = `data-english-${name}`, before = one.getAttribute(kept);
    const text = before !== null && arabicOf(before) === now ? before : now;
    const arabic = arabicOf(text);
    if (arabic === undefined) continue;
    one.setAttribute(kept, text);
    const wanted = language === 'ar' ? arabic : text;
    if (now !== wanted) one.setAttribute(name, wanted);
  }
}

function translate(root) {
  if (root.nodeType === Node.TEXT_NODE) root = root.parentElement;
  if (root?.nodeType !== Node.ELEMENT_NODE) return;
  for (const one of [root, ...root.querySelectorAll('*')]) {
    say(one);
    if (ATTRIBUTES.some(name => one.hasAttribute(name))) sayAttributes(one);
  }
}

// Gradio gives its drop zones another name than what stands in them.
function nameDropZones() {
  for (const zone of page.querySelectorAll('.upload-container[aria-label]')) {
    const name = zone.innerText.replace(/\s+/g, ' ').trim();
    if (name && zone.getAttribute('aria-label') !== name) zone.setAttribute('aria-label', name);
  }
}

function apply() {
  document.documentElement.lang = language;
  page.dir = language === 'ar' ? 'rtl' : 'ltr';
  button.textContent = language === 'ar' ? 'English' : 'العربية';
  button.lang = language === 'ar' ? 'en' : 'ar';
  translate(page);
  nameDropZones();
}

button.addEventListener('click', () => {
  language = language === 'ar' ? 'en' : 'ar';
  localStorage.setItem('language', language);
  apply();
});
new MutationObserver(changes => {
  nameDropZones();
  if (language !== 'ar') return;
  for (const { type, target, addedNodes } of changes) {
    if (type === 'characterData') { if (originals.get(target)?.shown !== target.nodeValue) translate(target); }
    else if (type === 'attributes') sayAttributes(target);
    else for (const node of addedNodes) if (!originals.has(node)) translate(node);
  }
}).observe(page, { subtree: true, childList: true, characterData: true, attributes: true, attributeFilter: ATTRIBUTES });
apply();
