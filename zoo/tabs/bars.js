// Whether an answer shows all classes or the likeliest: what a visitor chose stays while answers come and go.
element.addEventListener('click', event => {
  if (!event.target.closest('.all')) return;
  const folded = element.style.getPropertyValue('--rest') === 'grid';
  element.style.setProperty('--rest', folded ? 'none' : 'grid');
  element.style.setProperty('--more', folded ? 'inline' : 'none');
});
