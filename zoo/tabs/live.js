// A screen reader says what changes here.
element.setAttribute('aria-live', 'polite');
