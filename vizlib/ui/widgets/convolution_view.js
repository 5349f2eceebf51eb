const BLUE = [33, 102, 172],
  GREY = [247, 247, 247],
  RED = [178, 24, 43];
const SLIDE = 90; // milliseconds a step
const MOST_STEPS = 160;
const MOST_WRITTEN = 81; // numbers of a kernel that have room

const bytes = text => Uint8Array.from(atob(text), letter => letter.charCodeAt(0));
const floats = text => new Float32Array(bytes(text).buffer);
const colour = share => {
  const end = share < 0 ? BLUE : RED,
    far = Math.min(1, Math.abs(share));
  return GREY.map((from, part) => Math.round(from + (end[part] - from) * far));
};
const written = (value, decimals = 3) => {
  const text = value.toFixed(Math.abs(value) >= 100 ? 1 : decimals);
  return (Number(text) === 0 ? text.replace('-', '') : text).replace('-', '−');
};
// how many decimals tell numbers apart of which this is the greatest
const decimalsFor = most => (most >= 0.2 || most < 1e-6 ? 2 : most >= 0.02 ? 3 : 4);
const WIDEST_CELL = 96; // CSS pixels
const signed = value => (value < 0 ? `(${written(value)})` : written(value));

/** The numbers of the input, also of what stands around it. */
function reader({given, size, outside}) {
  const [channels, height, width] = size,
    [top, left, bottom, right] = outside,
    rows = height - top - bottom,
    columns = width - left - right;
  const inside = (y, x) => y >= top && y < height - bottom && x >= left && x < width - right;
  const pixels = given.pixels && bytes(given.pixels),
    values = given.values && floats(given.values);
  const pixel = (c, y, x) => pixels[((y - top) * columns + x - left) * channels + c];
  const value = (c, y, x) => {
    if (!pixels) return values[(c * height + y) * width + x];
    return inside(y, x) ? (pixel(c, y, x) / 255 - given.mean[c]) / given.std[c] : 0;
  };
  return {inside, pixel: pixels && pixel, value, rows, columns, top, left};
}

function paint(canvas, rows, columns, colours) {
  canvas.width = columns;
  canvas.height = rows;
  const image = new ImageData(columns, rows);
  for (let y = 0; y < rows; y++)
    for (let x = 0; x < columns; x++)
      image.data.set([...colours(y, x), 255].slice(0, 4), 4 * (y * columns + x));
  canvas.getContext('2d').putImageData(image, 0, 0);
}

export default function ({parentElement, data, setTriggerValue}) {
  const find = name => parentElement.querySelector(name),
    map = find('.map'),
    input = find('.input');
  const read = reader(data),
    kernel = floats(data.kernel),
    output = floats(data.output),
    rest = data.rest && floats(data.rest),
    stages = data.stages.map(stage => ({...stage, values: floats(stage.values)}));
  const [rows, columns] = data.shape,
    [down, across] = data.sides,
    taps = down * across,
    most = output.reduce((high, value) => Math.max(high, Math.abs(value)), 1e-12),
    heaviest = kernel.reduce((high, value) => Math.max(high, Math.abs(value)), 1e-12);
  const isColour = read.pixel && data.names.length === 3;
  clearInterval(map.sliding);
  map.sliding = null;
  const valid = place =>
    place && place[0] >= 0 && place[0] < rows && place[1] >= 0 && place[1] < columns;
  const same = (one, other) => one && other && one[0] === other[0] && one[1] === other[1];
  let fixed = valid(map.wanted) ? map.wanted : data.place,
    cell = null;
  find('.map-name').textContent = data.name;
  find('.map-size').textContent = `${rows} × ${columns}`;
  find('.input-size').textContent = `${read.rows} × ${read.columns}`;
  map.setAttribute('aria-label', `${data.name}: point, click or move with the arrow keys`);
  find('.input svg').setAttribute('viewBox', `0 0 ${read.columns} ${read.rows}`);

  const drawInput = () => {
    const c = map.channel;
    find('.input-name').textContent = isColour
      ? data.input_name
      : `${data.input_name}: ${data.names[c]}`;
    paint(find('.input canvas'), read.rows, read.columns, (y, x) => {
      const at = [y + read.top, x + read.left];
      if (!read.pixel) return colour(read.value(c, ...at) / data.given.limit);
      return [0, 1, 2].map(part => read.pixel(isColour ? part : 0, ...at));
    });
  };
  const drawMap = (until = rows * columns) =>
    paint(find('.map canvas'), rows, columns, (y, x) =>
      y * columns + x < until ? colour(output[y * columns + x] / most) : [128, 128, 128],
    );

  /** Row and column of what is given that number `tap` of the kernel lies over. */
  const under = (place, tap) => [
    place[0] * data.stride[0] + Math.floor(tap / across) * data.dilation[0],
    place[1] * data.stride[1] + (tap % across) * data.dilation[1],
  ];
  const product = (c, place, tap) =>
    read.value(c, ...under(place, tap)) * kernel[c * taps + tap];
  const sum = (c, place) => {
    let total = 0;
    for (let tap = 0; tap < taps; tap++) total += product(c, place, tap);
    return total;
  };

  if (map.of !== data.name + data.names) {
    // begin with the channel that brings most
    const brought = data.names.map((name, c) => Math.abs(sum(c, fixed)));
    map.channel = isColour ? 0 : brought.indexOf(Math.max(...brought));
    map.of = data.name + data.names;
  }

  const frame = place => {
    const [y, x] = under(place, 0),
      box = {
        x: x - read.left,
        y: y - read.top,
        width: (across - 1) * data.dilation[1] + 1,
        height: (down - 1) * data.dilation[0] + 1,
      };
    for (const rect of parentElement.querySelectorAll('rect'))
      for (const [name, value] of Object.entries(box)) rect.setAttribute(name, value);
    let dots = '';
    if (Math.max(...data.dilation) > 1)
      for (let tap = 0; tap < taps; tap++) {
        const [row, column] = under(place, tap);
        dots += `M${column - read.left + 0.25} ${row - read.top + 0.25}h.5v.5h-.5z`;
      }
    find('.taps').setAttribute('d', dots);
    const style = find('.place').style;
    style.left = (100 * place[1]) / columns + '%';
    style.top = (100 * place[0]) / rows + '%';
    style.width = 100 / columns + '%';
    style.height = 100 / rows + '%';
  };

  const grid = (name, value, limit, place) => {
    const element = find('.grid.' + name);
    element.style.gridTemplateColumns = `repeat(${across}, 1fr)`;
    element.style.setProperty('--across', across);
    element.style.maxWidth = across * WIDEST_CELL + 'px';
    element.parentElement.style.maxWidth = Math.max(1.6, Math.min(3, across)) * WIDEST_CELL + 'px';
    while (element.children.length > taps) element.lastChild.remove();
    while (element.children.length < taps) element.append(document.createElement('div'));
    [...element.children].forEach((box, tap) => {
      const number = value(tap),
        [red, green, blue] = colour(number / limit),
        light = 0.299 * red + 0.587 * green + 0.114 * blue;
      box.textContent = taps <= MOST_WRITTEN ? written(number, decimalsFor(limit)) : '';
      box.style.background = `rgb(${red}, ${green}, ${blue})`;
      box.style.color = light > 140 ? '#111' : '#fff';
      box.classList.toggle('outside', name === 'window' && !read.inside(...under(place, tap)));
      box.classList.toggle('at', tap === cell);
      box.onpointerenter = () => point(tap);
      box.onpointerleave = () => point(null);
    });
  };

  const drawGrids = place => {
    const c = map.channel,
      window_ = tap => read.value(c, ...under(place, tap)),
      all = [...Array(taps).keys()],
      far = values => Math.max(1e-12, ...values.map(Math.abs));
    find('.window-name').textContent = `${data.names[c]} under it`;
    grid('window', window_, far(all.map(window_)), place);
    grid('kernel', tap => kernel[c * taps + tap], heaviest, place);
    grid(
      'products',
      tap => product(c, place, tap),
      far(all.map(tap => product(c, place, tap))),
      place,
    );
    find('.cell').textContent = sentence(place);
  };

  const sentence = place => {
    const c = map.channel;
    if (cell === null) {
      const beyond = [...Array(taps).keys()].filter(tap => !read.inside(...under(place, tap)));
      const padding = beyond.length
        ? ` ${beyond.length} of the ${taps} numbers (dashed) lie outside: padding.`
        : '';
      return `${data.names[c]}: the ${taps} products add up to ${written(sum(c, place))}.${padding}`;
    }
    const [y, x] = under(place, cell),
      value = read.value(c, y, x),
      weight = kernel[c * taps + cell];
    const made = !read.inside(y, x)
      ? 'padding, '
      : read.pixel
        ? `pixel ${read.pixel(c, y, x)}: (${read.pixel(c, y, x)} / 255 − ` +
          `${written(data.given.mean[c])}) / ${written(data.given.std[c])} = `
        : '';
    return (
      `row ${y - read.top}, column ${x - read.left}: ${made}${written(value)}; ` +
      `${written(value)} × ${signed(weight)} = ${written(value * weight)}`
    );
  };

  const drawSum = place => {
    const at = place[0] * columns + place[1],
      box = find('.sum'),
      texts = data.names.map((name, c) => `${name} ${signed(sum(c, place))}`);
    const buttons = texts.length;
    if (data.others)
      texts.push(`${data.others} other${data.others > 1 ? 's' : ''} ${signed(rest[at])}`);
    if (data.bias) texts.push(`bias ${signed(data.bias)}`);
    const parts = texts.flatMap((text, number) => [
      ...(number ? [['span', '+']] : []),
      [number < buttons ? 'button' : 'span', text],
    ]);
    parts.push(['span', '='], ['total', written(output[at])]);
    stages.forEach((stage, number) => {
      const affine =
        stage.scale === null ? '' : ` × ${signed(stage.scale)} + ${signed(stage.shift)} =`;
      parts.push(['span', `→ ${stage.word}${affine}`]);
      parts.push([number === stages.length - 1 ? 'end' : 'span', written(stage.values[at])]);
    });
    const same_ = box.children.length === parts.length;
    if (!same_)
      box.replaceChildren(
        ...parts.map(([kind]) => {
          const element = document.createElement(kind === 'button' ? 'button' : 'span');
          if (kind === 'button') element.type = 'button';
          return element;
        }),
      );
    let channel = 0;
    parts.forEach(([kind, text], number) => {
      const element = box.children[number];
      element.textContent = text;
      element.className = kind;
      if (kind !== 'button') return;
      const c = channel++;
      element.setAttribute('aria-pressed', c === map.channel);
      element.onclick = () => {
        map.channel = c;
        drawInput();
        draw();
      };
    });
  };

  let shown = fixed;
  const draw = (place = shown) => {
    shown = place;
    frame(place);
    drawSum(place);
    drawGrids(place);
    const more = data.names.length > 1 ? '; press a channel of the sum to see its products' : '';
    find('.where').textContent = `place (${place[0]}, ${place[1]})${more}`;
  };
  const point = tap => {
    cell = tap;
    drawGrids(shown);
  };
  const halt = () => {
    clearInterval(map.sliding);
    map.sliding = null;
    find('.slide').textContent = '▶ Slide';
    drawMap();
  };
  const fix = (place, wait) => {
    if (!valid(place)) return;
    if (map.sliding) halt();
    fixed = map.wanted = place;
    draw(place);
    clearTimeout(map.timer);
    map.timer = setTimeout(() => {
      map.wanted = null;
      if (!same(place, data.place)) setTriggerValue('place', place);
    }, wait);
  };
  const share = (event, element) => {
    const box = element.getBoundingClientRect();
    return [(event.clientY - box.top) / box.height, (event.clientX - box.left) / box.width];
  };
  const within = (number, count) => Math.max(0, Math.min(count - 1, number));
  const onMap = event => {
    const [y, x] = share(event, map);
    return [within(Math.floor(y * rows), rows), within(Math.floor(x * columns), columns)];
  };
  const onInput = event => {
    const [y, x] = share(event, input),
      nearest = (pixel, around, size, axis) =>
        (pixel + around - ((size - 1) * data.dilation[axis] + 1) / 2) / data.stride[axis];
    return [
      within(Math.round(nearest(y * read.rows, read.top, down, 0)), rows),
      within(Math.round(nearest(x * read.columns, read.left, across, 1)), columns),
    ];
  };
  for (const [element, at] of [
    [map, onMap],
    [input, onInput],
  ]) {
    element.onpointermove = event => {
      if (!map.sliding) draw(at(event));
    };
    element.onpointerleave = () => {
      if (!map.sliding) draw(fixed);
    };
    element.onclick = event => {
      map.focus({preventScroll: true});
      fix(at(event), 0);
    };
  }
  onArrows(map, (down, right) => fix([fixed[0] + down, fixed[1] + right], 250));
  find('.slide').onclick = () => {
    if (map.sliding) {
      halt();
      draw(fixed);
      return;
    }
    const stride = Math.max(1, Math.ceil((rows * columns) / MOST_STEPS));
    let number = 0;
    find('.slide').textContent = '■ Stop';
    map.sliding = setInterval(() => {
      if (!map.isConnected) return clearInterval(map.sliding);
      if (number >= rows * columns) {
        halt();
        draw(fixed);
        return;
      }
      drawMap(number + 1);
      draw([Math.floor(number / columns), number % columns]);
      number += stride;
    }, SLIDE);
  };
  find('.slide').textContent = '▶ Slide';
  drawInput();
  drawMap();
  draw(fixed);
}
