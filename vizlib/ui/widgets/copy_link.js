export default function ({parentElement, data}) {
  const find = name => parentElement.querySelector(name),
    said = find('.said'),
    field = find('.link');
  // beyond https and this machine, browsers let no script write to the clipboard by itself
  const copied = async text => {
    try {
      await navigator.clipboard.writeText(text);
      return true;
    } catch {
      field.focus();
      field.select();
      return document.execCommand('copy');
    }
  };
  const isLocal = host => ['localhost', '127.0.0.1', '[::1]'].includes(host);
  find('.copy').onclick = async () => {
    const address = new URL(location.href),
      local = isLocal(address.hostname);
    if (local && data.host) address.hostname = data.host;
    field.value = address.href;
    said.hidden = false;
    const done = await copied(address.href);
    find('.done').textContent = done ? 'Copied.' : 'Press Ctrl+C to copy it.';
    find('.who').textContent = local ? data.local : 'Whoever reaches this server sees this page.';
    find('.warning').textContent = data.warning;
    field.select();
  };
  const close = event => {
    if (!event.composedPath().includes(parentElement)) said.hidden = true;
  };
  const escape = event => {
    if (event.key === 'Escape') said.hidden = true;
  };
  document.addEventListener('pointerdown', close);
  document.addEventListener('keydown', escape);
  return () => {
    document.removeEventListener('pointerdown', close);
    document.removeEventListener('keydown', escape);
  };
}
