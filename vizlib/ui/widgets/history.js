if (!window.convscopeHistory) {
  const push = (window.convscopeHistory = history.pushState.bind(history)),
    replace = history.replaceState.bind(history);
  let left = null;
  document.addEventListener(
    'click',
    event => {
      if (event.target.closest('a')) left = location.href;
    },
    true,
  );
  history.pushState = (state, title, url) => {
    const isSamePage = new URL(url, location.href).pathname === location.pathname;
    if (!isSamePage && left) replace(state, title, left);
    left = isSamePage ? left : null;
    (isSamePage ? replace : push)(state, title, url);
  };
}
