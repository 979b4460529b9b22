// Arabic for English sentences, without a page.
//
// A sentence of the catalogue is the text of an element. "{}" in it stands for a number or a name, and also for an
// element within the text, which stays where it is. "{row}" in its Arabic stands for a number with what it counts, in
// the form that Arabic has for that number.
const ELEMENT = /￼[\d.,]*;/; // an element within a text, with the number in it
const AROUND = /^((?:\s|￼[\d.,]*;)*)(.*?)((?:\s|￼[\d.,]*;)*)$/s;
const RULES = new Intl.PluralRules('ar'); // of the CLDR: one, two, few (3 to 10), many (11 to 99), other (100, 0.5)

function elementOf(text) {
  return `￼${/^[\d.,]+$/.test(text) ? text : ''};`;
}

// A number with what it counts. One and two need no number, but an element that holds it cannot go.
function counted(value, forms) {
  const number = parseFloat(value.replace(/[￼,]/g, ''));
  const form = Number.isNaN(number) ? 'other' : RULES.select(number);
  const words = forms[form] ?? forms.other; // none for zero
  return (ELEMENT.test(value) && !words.includes('{}') ? forms.other : words).replace('{}', value);
}

// A function that returns the Arabic of a text, or undefined.
function translator(catalogue, nouns) {
  const exact = new Map(), patterns = [];
  for (const [english, arabic] of Object.entries(catalogue)) {
    exact.set(english, arabic);
    if (!english.includes('{}')) continue;
    const pieces = english.split('{}').map(part => part.replace(/[.*+?^${}()|[\]\\]/g, '\\$&'));
    patterns.push([new RegExp(`^${pieces.join(`([^￼]+?|${ELEMENT.source})`)}$`, 's'), arabic]);
  }
  patterns.sort((a, b) => b[0].source.length - a[0].source.length); // the most exact first
  const answers = new Map(); // text -> its Arabic, or undefined

  function arabicOf(text) {
    const key = text.replace(/\s+/g, ' ').trim();
    if (!/[A-Za-z]/.test(key)) return undefined;
    if (answers.has(key)) return answers.get(key);
    if (answers.size > 20000) answers.clear();
    let found = exact.get(key);
    for (const [pattern, arabic] of found === undefined ? patterns : []) {
      const match = pattern.exec(key);
      if (!match) continue;
      const values = match.slice(1).map(value => arabicOf(value) ?? value);
      let next = 0;
      found = arabic.replace(/\{([^}]*)\}/g, (hole, noun) => noun ? counted(values[next++], nouns[noun]) : values[next++]);
      break;
    }
    if (found === undefined && key.includes(', ')) { // a list, of the layers of a network for example
      const parts = key.split(', '), translated = parts.map(arabicOf);
      if (translated.some(part => part !== undefined)) found = parts.map((part, i) => translated[i] ?? part).join('، ');
    }
    answers.set(key, found);
    return found;
  }
  return arabicOf;
}
