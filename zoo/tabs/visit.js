// A link with data-visit is followed within the page; with a modifier key it is a link like any other.
element.addEventListener('click', (event) => {
  const link = event.target.closest('[data-visit], [data-order], [data-unfilter]');
  if (!link || event.metaKey || event.ctrlKey || event.shiftKey) return;
  event.preventDefault();
  for (const name of ['order', 'unfilter']) if (link.dataset[name]) return trigger(name, JSON.parse(link.dataset[name]));
  const parts = JSON.parse(link.dataset.visit);
  locate(link.getAttribute('href'));
  trigger('visit', parts);
  if (parts.model) scrollTo({top: 0});  // the model's page begins there, wherever its link stood
});

// The address names what is shown, so that it can be sent to someone.
watch('value', () => {
  const shown = element.querySelector('[data-address]');
  if (shown) locate(shown.dataset.address);
});

function locate(place) {
  const address = new URLSearchParams(location.search);
  for (const key of ['tab', 'dataset', 'model', 'script', 'first', 'second', 'view', 'submission']) address.delete(key);
  for (const [key, value] of new URLSearchParams(place)) address.set(key, value);
  history.replaceState(history.state, '', '?' + address);
}

if (new URLSearchParams(location.search).has('embed')) document.documentElement.classList.add('embedded');
