// What a visitor writes, or which networks they ask: one or the other. The value is {script, models}.
const form = element.querySelector('form');
const scripts = [...form.querySelectorAll('input[type=radio]')];
const networks = [...form.querySelectorAll('input[type=checkbox]')];
let script = (scripts.find(one => one.checked) ?? scripts.at(-1)).value;

function mark(chosen) {
  for (const one of networks) one.checked = chosen.models.includes(one.value);
  for (const one of scripts) one.checked = one.value === chosen.script;
  if (chosen.script) script = chosen.script;
}

form.addEventListener('submit', event => event.preventDefault());
form.addEventListener('change', event => {
  const ticked = event.target.type === 'radio' ? [] : networks.filter(one => one.checked).map(one => one.value);
  if (event.target.type === 'radio') script = event.target.value;
  props.value = { script: ticked.length ? null : script, models: ticked };
  mark(props.value);
  // Who answers on this page prevents that the server is asked.
  if (form.dispatchEvent(new CustomEvent('ask', { bubbles: true, cancelable: true }))) trigger('input');
});
form.querySelector('details').addEventListener('toggle', () => { // the list opens at what is written
  const list = form.querySelector('.list'), table = list.querySelector(`[data-script="${script}"]`);
  if (table) list.scrollTop = table.getBoundingClientRect().top - list.getBoundingClientRect().top - 12;
});

function follow() { // what an address asked for
  if (!props.value?.models) return;
  mark(props.value);
  if (props.value.models.length) form.querySelector('details').open = true;
}
watch('value', follow);
follow();
