// While nobody does anything, what the first chart and the first table need: the browser takes a
// second or two to read these programs, and does so once. The page in view comes first: not before
// it has stood for two seconds.
if (!window.convscopeAhead) {
  window.convscopeAhead = true;
  const folder = document.querySelector('script[type="module"][src]').src.replace(/[^/]*$/, '');
  const idle = window.requestIdleCallback || (work => setTimeout(work, 200));
  const bring = ([name, ...others]) => {
    const next = () => others.length && idle(() => bring(others));
    import(folder + name).then(next, next);
  };
  const stands = () =>
    document.querySelector('[data-test-script-state="notRunning"] h1') &&
    !document.querySelector('[data-testid="stSkeleton"], [data-stale="true"]');
  let looks = 0;
  const timer = setInterval(() => {
    looks = stands() ? looks + 1 : 0;
    if (looks < 4) return;
    clearInterval(timer);
    if (PROGRAMS.length) idle(() => bring(PROGRAMS));
  }, 500);
}
