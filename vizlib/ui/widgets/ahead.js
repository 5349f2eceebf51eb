// While nobody does anything, what the first chart and the first table need: the browser takes a
// second or two to read these programs, and does so once.
if (!window.convscopeAhead) {
  window.convscopeAhead = true;
  const folder = document.querySelector('script[type="module"][src]').src.replace(/[^/]*$/, '');
  const idle = window.requestIdleCallback || (work => setTimeout(work, 200));
  const bring = ([name, ...others]) => {
    const next = () => others.length && idle(() => bring(others));
    import(folder + name).then(next, next);
  };
  setTimeout(() => idle(() => bring(PROGRAMS)), 1500); // the first page is drawn in this time
}
