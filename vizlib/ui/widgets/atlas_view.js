export default function ({parentElement, data, setStateValue, setTriggerValue}) {
  const frame = parentElement.querySelector('.frame'),
    img = parentElement.querySelector('img'),
    svg = parentElement.querySelector('svg');
  const picked = parentElement.querySelector('.picked'),
    tip = parentElement.querySelector('.tip');
  const {columns, rows, count} = data;
  frame.style.maxWidth = data.widest + 'px';
  frame.setAttribute('aria-label', data.alt);
  img.src = data.src;
  img.alt = data.alt;
  svg.setAttribute('viewBox', `0 0 ${columns} ${rows}`);
  svg.replaceChildren(
    ...data.crosses.map(([x1, y1, x2, y2]) => {
      const line = document.createElementNS('http://www.w3.org/2000/svg', 'line');
      for (const [name, value] of Object.entries({x1, y1, x2, y2})) line.setAttribute(name, value);
      return line;
    }),
  );
  parentElement.querySelector('.ramp').style.background = data.bar.length
    ? `linear-gradient(to right, ${data.bar.join(',')})`
    : 'none';
  parentElement.querySelector('.low').textContent = data.ends[0];
  parentElement.querySelector('.high').textContent = data.ends[1];
  const say = tile => {
    tip.textContent = data.labels[tile] ?? '';
  };
  const place = tile => {
    const inside = tile >= 0 && tile < count;
    picked.style.display = inside ? 'block' : 'none';
    if (!inside) return;
    picked.style.left = (100 * (tile % columns)) / columns + '%';
    picked.style.top = (100 * Math.floor(tile / columns)) / rows + '%';
    picked.style.width = (100 * data.filled[0]) / columns + '%';
    picked.style.height = (100 * data.filled[1]) / rows + '%';
    say(tile);
  };
  let current = data.presses ? frame.at ?? -1 : data.selected;
  place(current);
  const pick = tile => {
    if (tile >= 0 && tile < count && tile !== current) {
      current = frame.at = tile;
      place(tile);
      if (!data.presses) setStateValue('tile', tile);
    }
  };
  const press = tile => {
    pick(tile);
    if (data.presses && tile >= 0 && tile < count) setTriggerValue('press', tile);
  };
  const under = event => {
    const box = img.getBoundingClientRect();
    const column = Math.min(
      columns - 1,
      Math.floor(((event.clientX - box.left) / box.width) * columns),
    );
    return Math.floor(((event.clientY - box.top) / box.height) * rows) * columns + column;
  };
  img.onclick = event => {
    frame.focus();
    press(under(event));
  };
  img.onmousemove = event => say(under(event));
  img.onmouseleave = () => say(current);
  frame.onkeydown = event => {
    const step = {ArrowRight: 1, ArrowLeft: -1, ArrowDown: columns, ArrowUp: -columns}[event.key];
    if (step) {
      event.preventDefault();
      event.stopPropagation();
      pick(current + step);
    } else if (data.presses && [' ', 'Enter'].includes(event.key)) {
      event.preventDefault();
      event.stopPropagation();
      press(current);
    }
  };
}
