export default function ({parentElement, data, setTriggerValue}) {
  const find = name => parentElement.querySelector(name),
    all = name => parentElement.querySelectorAll(name);
  const map = find('.map'),
    [height, width] = data.size,
    [rows, columns] = data.shape;
  const values = new Float32Array(
    Uint8Array.from(atob(data.values), letter => letter.charCodeAt(0)).buffer,
  );
  const texts = {
    '.picture-name': 'The input',
    '.picture-size': `${height} × ${width}`,
    '.map-name': data.name,
    '.map-size': `${rows} × ${columns}`,
    '.low': data.ends[0],
    '.high': data.ends[1],
  };
  for (const [name, text] of Object.entries(texts)) find(name).textContent = text;
  const pictures = {
    '.picture .plain': data.picture,
    '.over': data.over,
    '.heat': data.heat,
    '.map .plain': data.map,
  };
  for (const [name, source] of Object.entries(pictures))
    source ? (find(name).src = source) : find(name).removeAttribute('src');
  find('.picture .plain').alt = 'the input';
  find('.map .plain').alt = data.name;
  map.setAttribute(
    'aria-label',
    `${data.name}: point at a place, click it or move with the arrow keys`,
  );
  find('svg').setAttribute('viewBox', `0 0 ${width} ${height}`);
  find('.ramp').style.background = `linear-gradient(to right, ${data.bar.join(',')})`;
  find('.has-heat').hidden = !data.heat;
  if (!data.heat && find('[value=heat]').checked) find('[value=plain]').checked = true;
  const inside = place =>
    place && place[0] >= 0 && place[0] < rows && place[1] >= 0 && place[1] < columns;
  const same = (one, other) => one && other && one[0] === other[0] && one[1] === other[1];
  let fixed = inside(map.wanted) ? map.wanted : data.place;
  const put = (name, place) => {
    const style = find(name).style;
    style.display = place ? 'block' : 'none';
    if (!place) return;
    style.left = (100 * place[1]) / columns + '%';
    style.top = (100 * place[0]) / rows + '%';
    style.width = 100 / columns + '%';
    style.height = 100 / rows + '%';
  };
  const frame = (name, box) =>
    all('rect.' + name).forEach(rect => {
      rect.style.display = box ? '' : 'none';
      if (box)
        for (const [key, value] of Object.entries({
          x: box[1],
          y: box[0],
          width: box[3] - box[1],
          height: box[2] - box[0],
        }))
          rect.setAttribute(key, value);
    });
  const span = ([first, end]) => (end - first === 1 ? ` ${first}` : `s ${first} to ${end - 1}`);
  const draw = () => {
    const under = inside(map.pointed) ? map.pointed : null,
      place = under ?? fixed,
      [row, column] = place,
      vertical = data.rows ? data.rows[row] : [0, height],
      horizontal = data.columns ? data.columns[column] : [0, width];
    const box = [vertical[0], horizontal[0], vertical[1], horizontal[1]],
      known = same(place, data.place),
      empty = box[2] <= box[0] || box[3] <= box[1];
    put('.fixed', fixed);
    put('.under', same(under, fixed) ? null : under);
    frame('box', empty || !data.rows ? null : box);
    frame('tight', known ? data.tight : null);
    find('.shade').setAttribute(
      'd',
      `M0 0H${width}V${height}H0Z` +
        (empty ? '' : `M${box[1]} ${box[0]}H${box[3]}V${box[2]}H${box[1]}Z`),
    );
    const laid = find('input:checked').value;
    find('.over').style.visibility = laid === 'over' ? 'visible' : 'hidden';
    find('.heat').style.visibility = laid === 'heat' && known && data.heat ? 'visible' : 'hidden';
    find('.picture .plain').classList.toggle('dimmed', laid === 'heat');
    find('.value').textContent = Number(values[row * columns + column].toPrecision(4));
    find('.sees').textContent = !data.rows
      ? `place (${row}, ${column}): what it sees is not known`
      : empty
      ? `place (${row}, ${column}) sees nothing but padding`
      : `place (${row}, ${column}) sees row${span(vertical)}, column${span(horizontal)} of the input`;
    find('.more').textContent = known
      ? data.more
      : data.heat
        ? 'Click to see which of these pixels have an influence here.'
        : '';
  };
  draw();
  const fix = (place, wait) => {
    if (!inside(place)) return;
    fixed = map.wanted = place;
    map.pointed = null;
    draw();
    clearTimeout(map.timer);
    map.timer = setTimeout(() => {
      map.wanted = null;
      if (!same(place, data.place)) setTriggerValue('place', place);
    }, wait);
  };
  const at = event => {
    const box = map.getBoundingClientRect(),
      cell = (position, length, count) =>
        Math.max(0, Math.min(count - 1, Math.floor((position / length) * count)));
    return [
      cell(event.clientY - box.top, box.height, rows),
      cell(event.clientX - box.left, box.width, columns),
    ];
  };
  map.onpointermove = event => {
    map.pointed = at(event);
    draw();
  };
  map.onpointerleave = () => {
    map.pointed = null;
    draw();
  };
  map.onclick = event => {
    map.focus({preventScroll: true});
    fix(at(event), 0);
  };
  onArrows(map, (down, right) => fix([fixed[0] + down, fixed[1] + right], 200));
  all('.choice input').forEach(input => {
    input.onchange = draw;
  });
}
