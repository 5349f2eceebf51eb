"""One map beside the picture it was made from: point at a place, and the pixels that it sees are
framed in the picture, at once, in the browser.
"""

import base64

import numpy as np
import streamlit as st

_HTML = """<div class="panes">
<figure><figcaption><b class="picture-name"></b><span class="picture-size"></span></figcaption>
<div class="view picture"><img class="plain"><img class="over"><img class="heat">
<svg preserveAspectRatio="none"><path class="shade"/><rect class="halo box"/><rect class="line box"/><rect class="halo tight"/><rect class="dashed tight"/></svg></div>
<div class="choice" role="radiogroup" aria-label="what is laid over the input">
<label><input type="radio" name="laid" value="plain" checked><span>input</span></label>
<label><input type="radio" name="laid" value="over"><span>the map over it</span></label>
<label class="has-heat"><input type="radio" name="laid" value="heat"><span>effective field</span></label></div></figure>
<figure><figcaption><b class="map-name"></b><span class="map-size"></span></figcaption>
<div class="view map" tabindex="0" role="application"><img class="plain"><div class="place fixed"></div><div class="place under"></div></div>
<div class="bar"><span class="low"></span><span class="ramp"></span><span class="high"></span></div></figure></div>
<div class="said" role="status"><div><b class="value"></b><span class="sees"></span></div><div class="more"></div></div>"""

_CSS = """
.panes {display: grid; grid-template-columns: 1fr 1fr; gap: 28px; max-width: 980px; font: 14px var(--st-font); color: var(--st-text-color)}
figure {margin: 0; min-width: 0}
figcaption {display: flex; gap: 10px; align-items: baseline; margin-bottom: 8px; white-space: nowrap; overflow: hidden}
figcaption span {opacity: .65; font-size: 13px}
.view {position: relative; line-height: 0; border-radius: 3px; outline-offset: 3px}
.view:focus-visible {outline: 2px solid var(--st-primary-color)}
.view img {width: 100%; image-rendering: pixelated; border-radius: 3px}
.map {cursor: crosshair; touch-action: manipulation}
.over, .heat, svg {position: absolute; inset: 0; height: 100%}
.over, .heat {visibility: hidden}
.dimmed {filter: grayscale(1) brightness(.85)}
svg {width: 100%; overflow: visible; pointer-events: none}
.shade {fill: #000; fill-opacity: .45; fill-rule: evenodd}
rect {fill: none; vector-effect: non-scaling-stroke}
.halo {stroke: #000; stroke-opacity: .55; stroke-width: 4.5px}
.line {stroke: #f97316; stroke-width: 2.5px}
.dashed {stroke: #67e8f9; stroke-width: 2.5px; stroke-dasharray: 6 4}
.place {position: absolute; box-sizing: border-box; pointer-events: none; display: none; min-width: 7px; min-height: 7px}
.fixed {outline: 2.5px solid #f97316; box-shadow: 0 0 0 4px rgba(0, 0, 0, .5)}
.under {outline: 1.5px solid #fff; box-shadow: 0 0 0 3px rgba(0, 0, 0, .55)}
.choice, .bar {display: flex; align-items: center; gap: 8px; margin-top: 12px; min-height: 28px; font-size: 13px}
.choice {gap: 0; flex-wrap: wrap}
.choice label {cursor: pointer}
.choice input {position: absolute; opacity: 0}
.choice span {display: block; padding: 4px 11px; border: 1px solid var(--st-border-color); margin-left: -1px; white-space: nowrap}
.choice label:first-child span {border-radius: 14px 0 0 14px; margin-left: 0}
.choice label:nth-last-child(1 of :not([hidden])) span {border-radius: 0 14px 14px 0}
.choice input:checked + span {border-color: var(--st-primary-color); color: var(--st-primary-color);
  background: color-mix(in srgb, var(--st-primary-color) 10%, transparent); position: relative}
.choice input:focus-visible + span {outline: 2px solid var(--st-primary-color); outline-offset: 1px}
.ramp {flex: 1; max-width: 180px; height: 10px; border-radius: 2px}
.bar {font-variant-numeric: tabular-nums}
.said {max-width: 980px; margin-top: 10px; min-height: 3.2em; font: 14px/1.6 var(--st-font); color: var(--st-text-color); font-variant-numeric: tabular-nums}
.value {margin-right: .8em}
.more {opacity: .75; font-size: 13px}
"""

_JS = """
export default function({parentElement, data, setTriggerValue}) {
  const find = name => parentElement.querySelector(name), all = name => parentElement.querySelectorAll(name);
  const map = find('.map'), [height, width] = data.size, [rows, columns] = [data.rows.length, data.columns.length];
  const values = new Float32Array(Uint8Array.from(atob(data.values), letter => letter.charCodeAt(0)).buffer);
  const texts = {'.picture-name': 'The input', '.picture-size': `${height} × ${width}`, '.map-name': data.name, '.map-size': `${rows} × ${columns}`,
    '.low': data.ends[0], '.high': data.ends[1]};
  for (const [name, text] of Object.entries(texts)) find(name).textContent = text;
  const pictures = {'.picture .plain': data.picture, '.over': data.over, '.heat': data.heat, '.map .plain': data.map};
  for (const [name, source] of Object.entries(pictures)) source ? find(name).src = source : find(name).removeAttribute('src');
  find('.picture .plain').alt = 'the input'; find('.map .plain').alt = data.name;
  map.setAttribute('aria-label', `${data.name}: point at a place, click it or move with the arrow keys`);
  find('svg').setAttribute('viewBox', `0 0 ${width} ${height}`);
  find('.ramp').style.background = `linear-gradient(to right, ${data.bar.join(',')})`;
  find('.has-heat').hidden = !data.heat;
  if (!data.heat && find('[value=heat]').checked) find('[value=plain]').checked = true;
  const inside = place => place && place[0] >= 0 && place[0] < rows && place[1] >= 0 && place[1] < columns;
  const same = (one, other) => one && other && one[0] === other[0] && one[1] === other[1];
  let fixed = inside(map.wanted) ? map.wanted : data.place;
  const put = (name, place) => {
    const style = find(name).style;
    style.display = place ? 'block' : 'none';
    if (!place) return;
    style.left = 100 * place[1] / columns + '%'; style.top = 100 * place[0] / rows + '%';
    style.width = 100 / columns + '%'; style.height = 100 / rows + '%';
  };
  const frame = (name, box) => all('rect.' + name).forEach(rect => {
    rect.style.display = box ? '' : 'none';
    if (box) for (const [key, value] of Object.entries({x: box[1], y: box[0], width: box[3] - box[1], height: box[2] - box[0]})) rect.setAttribute(key, value);
  });
  const span = ([first, end]) => end - first === 1 ? ` ${first}` : `s ${first} to ${end - 1}`;
  const draw = () => {
    const under = inside(map.pointed) ? map.pointed : null, place = under ?? fixed, [row, column] = place, vertical = data.rows[row], horizontal = data.columns[column];
    const box = [vertical[0], horizontal[0], vertical[1], horizontal[1]], known = same(place, data.place), empty = box[2] <= box[0] || box[3] <= box[1];
    put('.fixed', fixed); put('.under', same(under, fixed) ? null : under);
    frame('box', empty ? null : box); frame('tight', known ? data.tight : null);
    find('.shade').setAttribute('d', `M0 0H${width}V${height}H0Z` + (empty ? '' : `M${box[1]} ${box[0]}H${box[3]}V${box[2]}H${box[1]}Z`));
    const laid = find('input:checked').value;
    find('.over').style.visibility = laid === 'over' ? 'visible' : 'hidden';
    find('.heat').style.visibility = laid === 'heat' && known && data.heat ? 'visible' : 'hidden';
    find('.picture .plain').classList.toggle('dimmed', laid === 'heat');
    find('.value').textContent = Number(values[row * columns + column].toPrecision(4));
    find('.sees').textContent = empty ? `place (${row}, ${column}) sees nothing but padding`
      : `place (${row}, ${column}) sees row${span(vertical)}, column${span(horizontal)} of the input`;
    find('.more').textContent = known ? data.more : data.heat ? 'Click to see which of these pixels have an influence here.' : '';
  };
  draw();
  const fix = (place, wait) => {
    if (!inside(place)) return;
    fixed = map.wanted = place; map.pointed = null; draw();
    clearTimeout(map.timer);
    map.timer = setTimeout(() => { map.wanted = null; if (!same(place, data.place)) setTriggerValue('place', place); }, wait);
  };
  const at = event => {
    const box = map.getBoundingClientRect(), cell = (position, length, count) => Math.max(0, Math.min(count - 1, Math.floor(position / length * count)));
    return [cell(event.clientY - box.top, box.height, rows), cell(event.clientX - box.left, box.width, columns)];
  };
  map.onpointermove = event => { map.pointed = at(event); draw(); };
  map.onpointerleave = () => { map.pointed = null; draw(); };
  map.onclick = event => { map.focus({preventScroll: true}); fix(at(event), 0); };
  map.onkeydown = event => {
    const step = {ArrowRight: [0, 1], ArrowLeft: [0, -1], ArrowDown: [1, 0], ArrowUp: [-1, 0]}[event.key];
    if (step) { event.preventDefault(); event.stopPropagation(); fix([fixed[0] + step[0], fixed[1] + step[1]], 200); }
  };
  all('.choice input').forEach(input => { input.onchange = draw; });
}
"""

_component = st.components.v2.component("convscope_place", html=_HTML, css=_CSS, js=_JS)


def show(
    *,
    key,
    name,
    values,
    colours,
    picture,
    over,
    size,
    spans,
    place,
    on_pick,
    heat=None,
    tight=None,
    more="",
):
    """Show a map beside its picture; on_pick(place) is called before the rerun when another place
    is fixed, by a click or an arrow key.

    name: what the map is called. values: its float array (h, w); colours: the same as an Atlas of
    one tile. picture, over, heat: PNG bytes, the picture, the map laid over it, and the influence
    on the fixed `place` (row, column), to be laid over it. size: the picture's (height, width) in
    input pixels. spans: as receptive_fields.spans gives them. tight: the box that holds most of the
    influence, or None; more: what else to say of the fixed place.
    """
    state = f"{key}_component"

    def picked():
        wanted = st.session_state[state].get("place")
        is_pair = (
            isinstance(wanted, (list, tuple))
            and len(wanted) == 2
            and all(isinstance(index, (int, float)) for index in wanted)
        )
        if is_pair and all(0 <= index < length for index, length in zip(wanted, values.shape)):
            on_pick(tuple(map(int, wanted)))

    _component(
        key=state,
        data=dict(
            name=name,
            values=base64.b64encode(np.ascontiguousarray(values, "<f4").tobytes()).decode(),
            map=_address(colours.tile_png(0)),
            bar=colours.bar_colours(),
            ends=colours.bar_ends(),
            picture=_address(picture),
            over=_address(over),
            heat=_address(heat) if heat else "",
            size=list(size),
            rows=[list(span) for span in spans[0]],
            columns=[list(span) for span in spans[1]],
            place=list(place),
            tight=list(tight) if tight else None,
            more=more,
        ),
        on_place_change=picked,
    )


def _address(png):
    return "data:image/png;base64," + base64.b64encode(png).decode()
