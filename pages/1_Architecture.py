"""What the network is made of: every layer with its output, its cost and how far it sees."""

import streamlit as st

from vizlib import architectures
from vizlib.displays.architecture import ArchitectureDisplay
from vizlib.ui import page
from vizlib.ui.data import caches
from vizlib.ui.frame import status
from vizlib.ui.frame.address import chosen
from vizlib.ui.frame.plain import plain
from vizlib.ui.parts.downloads import caption

DEPTHS = ("blocks folded", "every layer")


def show(run, picture):
    status.title(f"Architecture of {run.run_id}", run, of_weights=True)
    rows = caches.layers(run)
    st.markdown(plain(architectures.get(run.config.architecture).summary))
    innermost = [row for row in rows if not row.is_block]
    top = [row for row in rows if row.depth == 0]
    figures = st.columns(4)
    figures[0].metric(
        "Convolutions and linear layers",
        sum(row.multiply_adds > 0 for row in innermost),
        help="Convolutions in shortcuts included.",
    )
    figures[1].metric("Parameters", f"{sum(row.parameters for row in top):,}")
    figures[2].metric("Multiply-adds an image", f"{sum(row.multiply_adds for row in top):,}")
    figures[3].metric("Residual sums", sum(row.is_sum for row in rows))

    depth = chosen(
        "Show",
        DEPTHS,
        key="depth",
        word="view",
        help="Folded: a block of layers is one row. A plus marks where a block adds its input to "
        "its result.",
    )
    shown = folded(rows) if depth == DEPTHS[0] else rows
    display = ArchitectureDisplay([row for row in shown if depth == DEPTHS[0] or not row.is_block])
    st.plotly_chart(display.plot(), width="stretch", key="slabs", config={"displayModeBar": False})
    st.caption(
        "Height: the size of the maps; width: how many; both logarithmic. Blue: convolution, "
        "green: block, orange: pool, violet: linear, +: residual sum."
    )
    st.dataframe(
        [
            {
                "layer": "\u2003" * (row.depth if depth != DEPTHS[0] else 0) + row.name,
                "kind": row.kind,
                "sum": "+" if row.is_sum else "",
                "output": " × ".join(map(str, row.output_shape)),
                "details": row.geometry,
                "parameters": row.parameters,
                "multiply-adds": row.multiply_adds,
                "receptive field": " × ".join(map(str, row.receptive_field))
                if row.receptive_field
                else "",
                "stride": " × ".join(map(str, row.stride)) if row.stride else "",
            }
            for row in shown
        ],
        width="stretch",
        height=min(900, 40 + 35 * len(shown)),
        hide_index=True,
        column_config={
            name: st.column_config.NumberColumn(format="localized")
            for name in ("parameters", "multiply-adds")
        }
        | {"details": st.column_config.TextColumn(width="medium")},
    )
    size = " × ".join(map(str, run.input_size))
    text = (
        f"{run.run_id}, trained on {run.config.dataset}, for one image of {size}. The "
        "receptive field is what one value can depend on, in input pixels, not cut at the "
        "border."
    )
    caption(text, f"{run.run_id}-architecture", csv=ArchitectureDisplay(rows).csv)


def folded(rows):
    """The rows a reader sees first: what lies at the top, with stages, blocks that hold nothing but
    blocks, opened.
    """
    children = {
        row.name: [child for child in rows if child.name.rpartition(".")[0] == row.name]
        for row in rows
        if row.is_block
    }
    stages = {
        name for name, below in children.items() if below and all(child.is_block for child in below)
    }
    return [
        row
        for row in rows
        if row.name not in stages and (row.depth == 0 or row.name.rpartition(".")[0] in stages)
    ]


page.run(show, "Architecture", keeps=("depth",))
