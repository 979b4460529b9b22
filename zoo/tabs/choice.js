// What a visitor writes, or which networks they ask: one or the other. The value is {script, models}. The boxes show
// which networks answer, also those of a script.
const form = element.querySelector('form');
const scripts = [...form.querySelectorAll('input[type=radio]')];
const networks = [...form.querySelectorAll('input[type=checkbox]')];
let at; // where the list was led to: it stays where a visitor scrolls it
let script = (scripts.find(one => one.checked) ?? scripts.at(-1)).value;

function mark(chosen) {
  if (chosen.script) script = chosen.script;
  for (const one of scripts) one.checked = one.value === chosen.script;
  const asked = chosen.models.length ? chosen.models : scripts.find(one => one.checked)?.dataset.models.split(' ') ?? [];
  for (const one of networks) one.checked = asked.includes(one.value);
  form.querySelector('.chosen').textContent = chosen.models.join(', '); // also seen while the list is closed
  leadTo();
}

function leadTo() { // the list stands at what is written
  const list = form.querySelector('.list'), table = list.querySelector(`[data-script="${script}"]`);
  const to = table ? table.getBoundingClientRect().top - list.firstElementChild.getBoundingClientRect().top : 0;
  if (to !== at) list.scrollTop = at = to;
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
form.querySelector('details').addEventListener('toggle', leadTo);

function follow() { // what an address asked for
  if (!props.value?.models) return;
  mark(props.value);
  if (props.value.models.length) form.querySelector('details').open = true;
}
watch('value', follow);
follow();
