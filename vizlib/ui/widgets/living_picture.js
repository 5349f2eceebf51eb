export default function ({parentElement, data, setTriggerValue}) {
  const find = name => parentElement.querySelector(name),
    [height, width] = data.size;
  const make = (kind, className, text) => {
    const element = document.createElement(kind);
    element.className = className;
    if (text !== undefined) element.textContent = text;
    return element;
  };
  const percent = share => (share < 0.005 ? '<1' : Math.round(100 * share)) + ' %';

  find('.picture').src = data.picture;
  find('.picture-size').textContent = `${height} × ${width} pixels`;
  find('svg').setAttribute('viewBox', `0 0 ${width} ${height}`);
  find('.answers').replaceChildren(
    ...data.answers.map(([name, share]) => {
      const item = make('li', ''),
        bar = make('i', '');
      bar.style.width = 100 * share + '%';
      item.append(bar, make('span', '', name), make('span', '', percent(share)));
      return item;
    }),
  );

  const OPENING =
    'Point at a map: what this place sees is framed in the picture. Click to look closer.';
  const say = text => (find('.said').textContent = text);
  const frame = box => {
    const empty = !box || box[2] <= box[0] || box[3] <= box[1];
    for (const name of ['.halo', '.line']) {
      const rect = find(name);
      rect.classList.toggle('hidden', empty);
      if (!empty) {
        rect.setAttribute('x', box[1]);
        rect.setAttribute('y', box[0]);
        rect.setAttribute('width', box[3] - box[1]);
        rect.setAttribute('height', box[2] - box[0]);
      }
    }
    find('.shade').setAttribute(
      'd',
      empty
        ? ''
        : `M0 0H${width}V${height}H0ZM${box[1]} ${box[0]}H${box[3]}V${box[2]}H${box[1]}Z`,
    );
  };
  const seen = (sheet, [, row, column]) => {
    const vertical = sheet.rows[row],
      horizontal = sheet.columns[column];
    return vertical && horizontal
      ? [vertical[0], horizontal[0], vertical[1], horizontal[1]]
      : null;
  };
  const show = (sheet, element, place) => {
    for (const mark of parentElement.querySelectorAll('.mark')) mark.style.display = 'none';
    if (!place) {
      frame(null);
      say(OPENING);
      return;
    }
    const [unit, row, column] = place,
      box = seen(sheet, place),
      style = element.querySelector('.mark').style,
      [high, wide] = sheet.shape;
    style.display = 'block';
    style.left =
      (100 * ((unit % sheet.across) + (sheet.filled[1] * column) / wide)) / sheet.across + '%';
    style.top =
      (100 * (Math.floor(unit / sheet.across) + (sheet.filled[0] * row) / high)) / sheet.down + '%';
    style.width = (100 * sheet.filled[1]) / wide / sheet.across + '%';
    style.height = (100 * sheet.filled[0]) / high / sheet.down + '%';
    frame(box);
    const sees = !box
      ? ''
      : box[2] - box[0] === height && box[3] - box[1] === width
        ? ': this place sees the whole picture'
        : `: this place sees ${box[2] - box[0]} × ${box[3] - box[1]} pixels`;
    say(`${sheet.title}, map ${unit}${sees}. Click to look closer.`);
  };
  const at = (sheet, image, event) => {
    const box = image.getBoundingClientRect(),
      x = ((event.clientX - box.left) / box.width) * sheet.across,
      y = ((event.clientY - box.top) / box.height) * sheet.down,
      inside = (value, end) => Math.max(0, Math.min(end - 1, Math.floor(value))),
      across = inside(x, sheet.across),
      down = inside(y, sheet.down),
      unit = down * sheet.across + across;
    if (unit >= sheet.count) return null;
    return [
      unit,
      inside(((y - down) / sheet.filled[0]) * sheet.shape[0], sheet.shape[0]),
      inside(((x - across) / sheet.filled[1]) * sheet.shape[1], sheet.shape[1]),
    ];
  };
  find('.sheets').replaceChildren(
    ...data.sheets.map((sheet, number) => {
      const figure = make('figure', ''),
        caption = make('figcaption', ''),
        holder = make('div', 'sheet'),
        image = make('img', '');
      caption.append(make('b', '', sheet.title), make('span', '', sheet.words));
      image.src = sheet.src;
      image.alt = `${sheet.title}: ${sheet.words}`;
      holder.append(image, make('div', 'mark'));
      holder.tabIndex = 0;
      holder.setAttribute('role', 'button');
      holder.setAttribute('aria-label', `${image.alt}; press Enter to look closer`);
      let place = [0, sheet.shape[0] >> 1, sheet.shape[1] >> 1];
      holder.onpointermove = event => {
        place = at(sheet, image, event) ?? place;
        show(sheet, holder, at(sheet, image, event));
      };
      holder.onpointerleave = () => show(sheet, holder, null);
      holder.onfocus = () => show(sheet, holder, place);
      holder.onblur = () => show(sheet, holder, null);
      holder.onclick = event => {
        const picked = at(sheet, image, event);
        if (picked) setTriggerValue('pick', [number, picked[0]]);
      };
      holder.onkeydown = event => {
        const step = {ArrowRight: 1, ArrowLeft: -1, ArrowDown: sheet.across, ArrowUp: -sheet.across}[
          event.key
        ];
        const unit = place[0] + (step ?? 0);
        if (step && unit >= 0 && unit < sheet.count) {
          place = [unit, place[1], place[2]];
          show(sheet, holder, place);
        } else if (event.key === 'Enter') setTriggerValue('pick', [number, place[0]]);
        else return;
        event.preventDefault();
        event.stopPropagation();
      };
      figure.append(caption, holder);
      return figure;
    }),
  );
  show(null, null, null);

  const film = find('.film'),
    last = data.film.length - 1;
  film.classList.toggle('hidden', last < 0);
  let shown = film.shown ?? last;
  const draw = () => {
    if (last < 0) return;
    shown = Math.min(shown, last);
    film.shown = shown;
    find('.frame').src = data.film[shown][1];
    find('.step').textContent = data.film[shown][0];
    find('.play').textContent = film.plays ? '■' : '▶';
    find('.play').setAttribute('aria-label', film.plays ? 'stop the film' : 'play the film');
  };
  // whoever asks for less motion begins the film by hand
  film.plays ??= !matchMedia('(prefers-reduced-motion: reduce)').matches;
  let held = 0;
  const timer = setInterval(() => {
    if (!film.plays || last < 1) return;
    if (shown === last && held++ < 4) return; // the end stands longer
    held = 0;
    shown = shown === last ? 0 : shown + 1;
    draw();
  }, data.seconds * 1000);
  const toggle = () => {
    film.plays = !film.plays;
    draw();
  };
  find('.play').onclick = toggle;
  const onKey = event => {
    const typing = event.composedPath().some(element => /^(INPUT|TEXTAREA)$/.test(element.tagName));
    if (event.key === 'p' && !typing && !event.ctrlKey && !event.metaKey && !event.altKey) toggle();
  };
  document.addEventListener('keydown', onKey);
  draw();
  return () => {
    clearInterval(timer);
    document.removeEventListener('keydown', onKey);
  };
}
