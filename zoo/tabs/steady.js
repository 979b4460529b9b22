// The page stays where it is: the place of the answer keeps its height when a shorter one comes, as on an empty pad,
// until something else is asked or the screen is turned.
let wide = innerWidth;
element.style.boxSizing = 'border-box';
new ResizeObserver(() => { element.style.minHeight = `${element.offsetHeight}px`; }).observe(element);
const release = () => { element.style.minHeight = ''; };
document.addEventListener('ask', release);
addEventListener('resize', () => { // a phone's browser resizes the page as it scrolls, but never its width
  if (innerWidth !== wide) release();
  wide = innerWidth;
});
