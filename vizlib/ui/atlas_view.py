"""An Atlas on a page: one picture, any tile picked by click or by arrow keys, its values shown when
pointed at.
"""

import streamlit as st

_HTML = """<div class="frame" tabindex="0" role="grid"><img><svg preserveAspectRatio="none"></svg><div class="picked"></div></div>
<div class="below"><div class="bar"><span class="low"></span><span class="ramp"></span><span class="high"></span></div><div class="tip"></div></div>"""

_CSS = """
.frame {position: relative; outline-offset: 3px; line-height: 0}
.frame:focus-visible {outline: 2px solid var(--st-primary-color)}
img {width: 100%; image-rendering: pixelated; cursor: pointer}
svg {position: absolute; inset: 0; width: 100%; height: 100%; pointer-events: none}
svg line {stroke: #e11d48; stroke-width: 1.5px; vector-effect: non-scaling-stroke}
.picked {position: absolute; box-sizing: border-box; outline: 3px solid #f97316; pointer-events: none; display: none}
.below {display: flex; justify-content: space-between; align-items: center; min-height: 1.6em; margin-top: 6px;
  font: 13px var(--st-font); color: var(--st-text-color)}
.bar {display: flex; gap: 8px; align-items: center}
.ramp {width: 180px; height: 10px; border-radius: 2px}
.tip {opacity: .8; font-variant-numeric: tabular-nums}
"""

_JS = """
export default function({parentElement, data, setStateValue}) {
  const frame = parentElement.querySelector('.frame'), img = parentElement.querySelector('img'), svg = parentElement.querySelector('svg');
  const picked = parentElement.querySelector('.picked'), tip = parentElement.querySelector('.tip');
  const {columns, rows, count} = data;
  frame.style.maxWidth = data.widest + 'px';
  frame.setAttribute('aria-label', data.alt);
  img.src = data.src; img.alt = data.alt;
  svg.setAttribute('viewBox', `0 0 ${columns} ${rows}`);
  svg.replaceChildren(...data.crosses.map(([x1, y1, x2, y2]) => {
    const line = document.createElementNS('http://www.w3.org/2000/svg', 'line');
    for (const [name, value] of Object.entries({x1, y1, x2, y2})) line.setAttribute(name, value);
    return line;
  }));
  parentElement.querySelector('.ramp').style.background = data.bar.length ? `linear-gradient(to right, ${data.bar.join(',')})` : 'none';
  parentElement.querySelector('.low').textContent = data.ends[0];
  parentElement.querySelector('.high').textContent = data.ends[1];
  const say = tile => { tip.textContent = data.labels[tile] ?? ''; };
  const place = tile => {
    const inside = tile >= 0 && tile < count;
    picked.style.display = inside ? 'block' : 'none';
    if (!inside) return;
    picked.style.left = 100 * (tile % columns) / columns + '%';
    picked.style.top = 100 * Math.floor(tile / columns) / rows + '%';
    picked.style.width = 100 * data.filled[0] / columns + '%'; picked.style.height = 100 * data.filled[1] / rows + '%';
    say(tile);
  };
  let current = data.selected;
  place(current);
  const pick = tile => { if (tile >= 0 && tile < count && tile !== current) { current = tile; place(tile); setStateValue('tile', tile); } };
  const under = event => {
    const box = img.getBoundingClientRect();
    const column = Math.min(columns - 1, Math.floor((event.clientX - box.left) / box.width * columns));
    return Math.floor((event.clientY - box.top) / box.height * rows) * columns + column;
  };
  img.onclick = event => { frame.focus(); pick(under(event)); };
  img.onmousemove = event => say(under(event));
  img.onmouseleave = () => say(current);
  frame.onkeydown = event => {
    const step = {ArrowRight: 1, ArrowLeft: -1, ArrowDown: columns, ArrowUp: -columns}[event.key];
    if (step) { event.preventDefault(); event.stopPropagation(); pick(current + step); }
  };
}
"""

_component = st.components.v2.component("convscope_atlas", html=_HTML, css=_CSS, js=_JS)
WIDEST_TILE = 150  # CSS pixels


def show(atlas, *, alt, key, selected=-1, on_pick=None, tallest=None):
    """Show an Atlas; on_pick(tile) is called before the rerun when another tile is picked.
    selected: the framed tile, or -1.

    tallest: CSS pixels that it may be high; without, it takes the width there is.
    """
    state = f"{key}_component"

    def picked():
        tile = st.session_state[state].get("tile", -1)
        if on_pick and isinstance(tile, (int, float)) and 0 <= tile < len(atlas.tiles):
            on_pick(int(tile))

    _component(
        key=state,
        data=dict(
            src=atlas.data_url,
            columns=atlas.columns,
            rows=atlas.rows,
            count=len(atlas.tiles),
            filled=[
                side * atlas.factor / (side * atlas.factor + 1)
                for side in (atlas.tiles.shape[2], atlas.tiles.shape[1])
            ],  # the rest is gap
            widest=min(
                1400,
                atlas.columns * WIDEST_TILE,
                tallest * _width_for_height(atlas) if tallest else 1400,
            ),
            crosses=[list(line) for line in atlas.cross_lines()],
            bar=atlas.bar_colours(),
            ends=atlas.bar_ends(),
            labels=list(atlas.labels[:4096]),
            selected=selected,
            alt=alt,
        ),
        default={"tile": -1},
        on_tile_change=picked,
    )


def _width_for_height(atlas):
    height, width = atlas.tiles.shape[1:3]
    return atlas.columns * (width * atlas.factor + 1) / (atlas.rows * (height * atlas.factor + 1))
