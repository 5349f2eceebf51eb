const WAIT = 2000; // milliseconds that an answer may take before the next deed is sent all the same
const FRAME = 120; // milliseconds between two looks of the camera
const SHORT = 256; // pixels of the shorter side of what the camera sends
const MOST_POINTS = 600;

export default function ({parentElement, data, setTriggerValue}) {
  const find = name => parentElement.querySelector(name),
    board = find('.board'),
    line = find('polyline'),
    ring = find('circle');
  const [height, width] = data.size;
  // what lasts from one answer of the server to the next
  const kept = (board.kept ??= {
    number: data.ground.number,
    sent: 0,
    waiting: [],
    stroke: null,
    at: [width / 2, height / 2],
  });
  kept.send = deed => {
    kept.number += 1;
    kept.sent = performance.now();
    setTriggerValue('deed', {...deed, number: kept.number});
  };
  const isFree = () =>
    board.acknowledged >= kept.number || performance.now() - kept.sent > WAIT;
  board.acknowledged = data.ground.number;
  if (kept.number < data.ground.number) kept.number = data.ground.number;
  const next = () => {
    if (kept.waiting.length && isFree()) kept.send(kept.waiting.shift());
    if (kept.waiting.length) setTimeout(next, 100);
  };
  const tell = deed => {
    const last = kept.waiting.at(-1);
    if (last && last.kind === deed.kind && last.id === deed.id) kept.waiting.pop();
    kept.waiting.push(deed);
    next();
  };
  next();

  find('.board img').src = data.picture;
  find('svg').setAttribute('viewBox', `0 0 ${width} ${height}`);
  board.setAttribute(
    'aria-label',
    'the picture: paint with the mouse, or move with the arrow keys and press space',
  );
  const size = find('.size'),
    colour = find('.colour');
  if (size.max !== String(Math.ceil(width / 2))) {
    size.max = Math.ceil(width / 2);
    size.value = Math.max(1, Math.round(width / 8));
    colour.value = data.colour;
  }
  const tool = () => find('.choice input:checked').value;
  const diameter = () => Number(size.value);
  const rgb = () => [1, 3, 5].map(from => parseInt(colour.value.slice(from, from + 2), 16));
  const say = () => (size.nextElementSibling.textContent = `${size.value} px`);
  const showRing = at => {
    kept.at = at;
    ring.setAttribute('cx', at[0]);
    ring.setAttribute('cy', at[1]);
    ring.setAttribute('r', diameter() / 2);
  };
  const trail = () => {
    const points = kept.stroke ? kept.stroke.points : [];
    line.setAttribute('points', [...points, ...points.slice(-1)].map(at => at.join(',')).join(' '));
    line.setAttribute('stroke-width', diameter());
    line.setAttribute(
      'stroke',
      {draw: colour.value, erase: `rgb(${data.nothing.join(',')})`}[tool()] ?? 'transparent',
    );
  };
  if (kept.stroke?.ended && board.acknowledged >= kept.number && !kept.waiting.length)
    kept.stroke = null;
  trail();
  showRing(kept.at);
  say();

  const begin = at => {
    const id = `${Date.now()}${Math.random()}`;
    kept.stroke = {kind: 'stroke', id, tool: tool(), size: diameter(), colour: rgb(), points: [at]};
  };
  const go = at => {
    const points = kept.stroke.points,
      [x, y] = points.at(-1);
    if (Math.hypot(at[0] - x, at[1] - y) < 0.5 || points.length >= MOST_POINTS) return;
    points.push(at);
  };
  const send = () => {
    trail();
    const {ended, ...stroke} = kept.stroke;
    tell({...stroke, points: [...stroke.points]});
  };
  const at = event => {
    const box = find('.board img').getBoundingClientRect();
    return [
      Math.round((10 * (event.clientX - box.left) * width) / box.width) / 10,
      Math.round((10 * (event.clientY - box.top) * height) / box.height) / 10,
    ];
  };
  board.onpointerdown = event => {
    event.preventDefault();
    board.focus({preventScroll: true});
    board.setPointerCapture(event.pointerId);
    begin(at(event));
    send();
  };
  board.onpointermove = event => {
    showRing(at(event));
    if (!kept.stroke || kept.stroke.ended) return;
    go(at(event));
    send();
  };
  board.onpointerup = board.onpointercancel = () => {
    if (!kept.stroke) return;
    kept.stroke.ended = true;
    send();
  };
  board.onkeydown = event => {
    const step = {ArrowRight: [1, 0], ArrowLeft: [-1, 0], ArrowDown: [0, 1], ArrowUp: [0, -1]}[
      event.key
    ];
    if (!step && event.key !== ' ') return;
    event.preventDefault();
    event.stopPropagation();
    if (step) {
      const far = Math.max(1, Math.round(diameter() / 2)),
        inside = (value, most) => Math.max(0.5, Math.min(most - 0.5, value));
      showRing([
        inside(kept.at[0] + far * step[0], width),
        inside(kept.at[1] + far * step[1], height),
      ]);
    } else {
      begin(kept.at);
      kept.stroke.ended = true;
      send();
    }
  };
  size.oninput = () => {
    say();
    showRing(kept.at);
  };

  const bounds = {
    right: [-width / 2, width / 2, ' px'],
    down: [-height / 2, height / 2, ' px'],
    turn: [-180, 180, '°'],
    blur: [0, Math.max(2, width / 16), ' px'],
    noise: [0, 128, ''],
  };
  const moves = [...parentElement.querySelectorAll('.move')];
  for (const move of moves) {
    const [low, high, unit] = bounds[move.name];
    move.min = low;
    move.max = high;
    move.step = move.name === 'blur' ? 0.25 : 1;
    const write = () => (move.nextElementSibling.textContent = move.value + unit);
    // what is in the middle of being moved stays where the hand has it
    if (board.acknowledged >= kept.number && !kept.waiting.length)
      move.value = data.ground.moves[move.name];
    write();
    move.oninput = () => {
      write();
      const values = Object.fromEntries(moves.map(one => [one.name, Number(one.value)]));
      tell({kind: 'moves', id: 'moves', moves: values});
    };
  }
  find('.undo').disabled = !data.ground.strokes;
  find('.undo').onclick = () => tell({kind: 'undo', id: Math.random()});
  find('.anew').onclick = () => {
    stop();
    tell({kind: 'anew'});
  };

  const live = find('.live'),
    video = find('video'),
    camera = find('.camera');
  const stop = () => {
    clearInterval(board.looking);
    video.srcObject?.getTracks().forEach(track => track.stop());
    video.srcObject = null;
    live.setAttribute('aria-pressed', 'false');
    live.textContent = 'Live camera';
  };
  const look = () => {
    if (!board.isConnected) return stop();
    if (!isFree() || kept.waiting.length || !video.videoWidth) return;
    const canvas = document.createElement('canvas'),
      scale = SHORT / Math.min(video.videoWidth, video.videoHeight);
    canvas.width = Math.round(video.videoWidth * scale);
    canvas.height = Math.round(video.videoHeight * scale);
    canvas.getContext('2d').drawImage(video, 0, 0, canvas.width, canvas.height);
    kept.send({kind: 'frame', image: canvas.toDataURL('image/jpeg', 0.85)});
  };
  board.look = look;
  live.onclick = async () => {
    if (video.srcObject) return stop();
    if (!navigator.mediaDevices) {
      camera.textContent =
        'This browser gives the camera only to pages by https, or of this very machine. The ' +
        'sidebar takes a picture from a file.';
      return;
    }
    try {
      video.srcObject = await navigator.mediaDevices.getUserMedia({video: true});
      await video.play();
      live.setAttribute('aria-pressed', 'true');
      live.textContent = '■ Stop camera';
      camera.textContent = 'Its pictures go to the machine that runs Convscope, and no further.';
      clearInterval(board.looking);
      board.looking = setInterval(() => board.look(), FRAME);
    } catch (error) {
      stop();
      camera.textContent = `The browser gives no camera (${error.name}).`;
    }
  };

  find('.bars').replaceChildren(
    ...data.answers.map(([name, before, now]) => {
      const make = (tag, kind, text = '') => {
        const element = document.createElement(tag);
        element.className = kind;
        element.textContent = text;
        return element;
      };
      const percent = share => `${Math.round(100 * share)} %`,
        head = make('div', 'head'),
        track = make('div', 'track'),
        bar = make('div', 'now'),
        mark = make('div', 'before'),
        whole = make('div', 'answer');
      head.append(
        make('span', '', name),
        make('b', '', before === now ? percent(now) : `${percent(before)} → ${percent(now)}`),
      );
      bar.style.width = 100 * now + '%';
      mark.style.left = 100 * before + '%';
      track.append(bar, mark);
      whole.append(head, track);
      return whole;
    }),
  );
  find('.sentence').textContent = data.sentence;
  return () => {
    if (!board.isConnected) stop();
  };
}
