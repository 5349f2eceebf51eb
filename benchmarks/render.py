"""A whole layer as one picture: how long it takes and how many bytes it makes, ours against the
usual ways.

    python -m benchmarks.render               # 5 rounds, about five minutes on an idle machine
    python -m benchmarks.render --quick       # one round of the slow ways
    python -m benchmarks.render --smallest    # one round, one small layer: whether it measures

Measured, from the same tensor (C, h, w) in memory to bytes in memory, at one torch thread: our
palette PNG (FeatureMapsDisplay, its scale the layer's); torchvision's make_grid, written as PNG;
Matplotlib, a subplot a channel, written as PNG by Agg; Plotly, a facet a channel, as the JSON that
a browser would still have to draw. The ways take turns within a round, so a busy machine troubles
all of them alike; given are medians. Prints a Markdown table. Absolute figures move with the
machine, the ratios hardly. Matplotlib is needed for this file only.
"""

import argparse
import io
import statistics
import time

import numpy as np
import torch

from benchmarks import tables
from vizlib.displays.atlas import columns_for
from vizlib.displays.feature_maps import FeatureMapsDisplay

LAYERS = ((64, 112, 112), (256, 56, 56), (512, 7, 7), (2048, 7, 7))
SMALL = (4, 7, 7)


def main(arguments=None):
    options = _options(arguments)
    torch.set_num_threads(1)
    for way in WAYS.values():  # first calls import, read fonts and fill caches
        way(feature_maps(SMALL))
    columns = ("layer", "way", "milliseconds", "times ours", "kilobytes", "times ours")
    tables.begin(*columns, texts=2, note="1 thread, from float32 to bytes")
    for shape in (SMALL,) if options.smallest else LAYERS:
        seconds, sizes = measure(feature_maps(shape), options)
        add_rows("x".join(map(str, shape)), seconds, sizes)


def _options(arguments):
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rounds", type=int, default=5)
    slow = "Matplotlib and Plotly in the first round only"
    parser.add_argument("--quick", action="store_true", help=slow)
    parser.add_argument("--smallest", action="store_true", help="one round of one small layer")
    return parser.parse_args(arguments)


def measure(maps, options):
    """({way: the median of its seconds}, {way: its bytes}) of drawing some maps, by turns."""
    seconds, sizes = {name: [] for name in WAYS}, {}
    for number in range(1 if options.smallest else options.rounds):
        for name, way in WAYS.items():
            if options.quick and number and name in SLOW:
                continue
            start = time.perf_counter()
            content = way(maps)
            seconds[name].append(time.perf_counter() - start)
            sizes[name] = len(content)
    return {name: statistics.median(values) for name, values in seconds.items()}, sizes


def add_rows(layer, seconds, sizes):
    first = next(iter(WAYS))  # ours
    for name in WAYS:
        times = f"{seconds[name] * 1000:,.1f}", f"{seconds[name] / seconds[first]:,.1f}"
        volumes = f"{sizes[name] / 1000:,.0f}", f"{sizes[name] / sizes[first]:,.1f}"
        tables.add(layer, name, *times, *volumes)


def feature_maps(shape):
    """Maps as a ReLU leaves them: smooth noise, about half of it zero, float32 (C, h, w)."""
    noise = torch.randn(shape, generator=torch.Generator().manual_seed(0))
    return torch.nn.functional.avg_pool2d(noise, 3, stride=1, padding=1).relu()


def ours(maps):
    return (
        FeatureMapsDisplay.from_activation(maps.numpy(), (float(maps.min()), float(maps.max())))
        .picture("layer")
        .png()
    )


def torchvision_grid(maps):
    from PIL import Image
    from torchvision.utils import make_grid

    grid = make_grid(maps[:, None], nrow=columns_for(len(maps)), padding=1, normalize=True)
    file = io.BytesIO()
    Image.fromarray((grid * 255).byte().permute(1, 2, 0).numpy()).save(file, "PNG")
    return file.getvalue()


def matplotlib_subplots(maps):
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    columns = columns_for(len(maps))
    rows, side = -(-len(maps) // columns), max(14, maps.shape[1]) + 1
    figure = Figure(figsize=(columns * side / 100, rows * side / 100), dpi=100)
    FigureCanvasAgg(figure)
    for axes, channel in zip(figure.subplots(rows, columns).flat, maps.numpy(), strict=True):
        axes.imshow(channel, vmin=0, vmax=float(maps.max()))
        axes.axis("off")
    file = io.BytesIO()
    figure.savefig(file, format="png")
    return file.getvalue()


def plotly_facets(maps):
    import plotly.graph_objects as go
    from plotly.subplots import make_subplots

    columns = columns_for(len(maps))
    rows = -(-len(maps) // columns)
    figure = make_subplots(
        rows, columns, horizontal_spacing=0.1 / columns, vertical_spacing=0.1 / rows
    )
    traces = [
        go.Heatmap(z=channel, zmin=0, zmax=float(maps.max()), showscale=False)
        for channel in maps.numpy().astype(np.float32)
    ]
    cells = [divmod(number, columns) for number in range(len(maps))]
    figure.add_traces(traces, [row + 1 for row, _ in cells], [column + 1 for _, column in cells])
    return figure.to_json().encode()


WAYS = {
    "Convscope": ours,
    "torchvision make_grid": torchvision_grid,
    "Matplotlib, a subplot a channel": matplotlib_subplots,
    "Plotly, a facet a channel": plotly_facets,
}
SLOW = tuple(WAYS)[2:]


if __name__ == "__main__":
    main()
