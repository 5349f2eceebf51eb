if (!window.convscopeKeys) {
  const press = selector => document.querySelector(selector)?.click(),
    unit = '.st-key-unit [data-testid=stNumberInputStep',
    lesson = name => () => press(`.st-key-lesson_${name} a`),
    slide = key => () => {
      const thumb = document.querySelector('.st-key-step [role=slider]');
      thumb?.focus();
      thumb?.dispatchEvent(new KeyboardEvent('keydown', {key, code: key, bubbles: true}));
      thumb?.dispatchEvent(new KeyboardEvent('keyup', {key, code: key, bubbles: true}));
    };
  const keys = (window.convscopeKeys = {
    n: lesson('next'),
    b: lesson('back'),
    N: lesson('after'),
    B: lesson('before'),
    i: () => press(unit + 'Up]'),
    u: () => press(unit + 'Down]'),
    '.': slide('ArrowRight'),
    ',': slide('ArrowLeft'),
  });
  // what a presenter's remote sends
  const remote = {PageDown: keys.n, PageUp: keys.b};
  const isWritten = event =>
    event
      .composedPath()
      .some(node => node.isContentEditable || /^(INPUT|TEXTAREA|SELECT)$/.test(node.tagName ?? ''));
  document.addEventListener('keydown', event => {
    if (event.ctrlKey || event.metaKey || event.altKey || isWritten(event)) return;
    const does =
      keys[event.key] ??
      (document.querySelector('.st-key-lesson') ? remote[event.key] : undefined);
    if (!does) return;
    event.preventDefault();
    does();
  });
}
