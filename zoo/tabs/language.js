// English or Arabic: by the browser's language, by `?language=ar`, or by this button, which is remembered. Sentences
// English or Arabic: by the browser's language, by `?language=ar`, or by this button, whose state is stored.
const button = element.querySelector('button');
const ATTRIBUTES = ['aria-label', 'placeholder', 'title', 'alt'];
const originals = new WeakMap(); // text node -> its English text
const page = document.querySelector('.gradio-container');
const asked = new URLSearchParams(location.search).get('language');
let language = asked ?? localStorage.getItem('language') ?? (navigator.language.startsWith('ar') ? 'ar' : 'en');

function say(node) {
  const now = node.nodeValue;
  const known = originals.get(node);
  const english = known && (now === known.arabic || now === known.english) ? known.english : now;
  const arabic = props.arabic[english.trim()];
  if (!arabic) return;
  originals.set(node, { english, arabic });
  const wanted = language === 'ar' ? arabic : english;
  if (now !== wanted) node.nodeValue = wanted;
}

function sayAttributes(one) {
  for (const name of ATTRIBUTES) {
    const kept = `data-english-${name}`;
    const now = one.getAttribute(name);
    if (now === null) continue;
    const before = one.getAttribute(kept);
    const english = before !== null && props.arabic[before] === now ? before : now;
    const arabic = props.arabic[english];
    if (!arabic) continue;
    one.setAttribute(kept, english);
    const wanted = language === 'ar' ? arabic : english;
    if (now !== wanted) one.setAttribute(name, wanted);
  }
}

function translate(root) {
  if (root.nodeType === Node.TEXT_NODE) return say(root);
  if (root.nodeType !== Node.ELEMENT_NODE) return;
  sayAttributes(root);
  root.querySelectorAll(ATTRIBUTES.map(name => `[${name}]`).join()).forEach(sayAttributes);
  const walker = document.createTreeWalker(root, NodeFilter.SHOW_TEXT);
  while (walker.nextNode()) say(walker.currentNode);
}

function apply() {
  document.documentElement.lang = language;
  page.dir = language === 'ar' ? 'rtl' : 'ltr';
  button.textContent = language === 'ar' ? 'English' : 'العربية';
  button.lang = language === 'ar' ? 'en' : 'ar';
  translate(page);
}

button.addEventListener('click', () => {
  language = language === 'ar' ? 'en' : 'ar';
  localStorage.setItem('language', language);
  apply();
});
new MutationObserver(changes => {
  for (const { type, target, addedNodes } of changes) {
    if (type === 'characterData') say(target);
    else if (type === 'attributes') sayAttributes(target);
    else addedNodes.forEach(translate);
  }
}).observe(page, { subtree: true, childList: true, characterData: true, attributes: true, attributeFilter: ATTRIBUTES });
apply();
