"""The film of learning as an animated picture for slides: a FilmDisplay's panels drawn side by
side, step after step, as a GIF.
"""

from __future__ import annotations

import io
import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from PIL import Image, ImageColor, ImageDraw, ImageFont

from vizlib.displays.atlas import Atlas, factor_within
from vizlib.displays.confusion import LIGHT, MOST_WRITTEN, NOTHING, ConfusionDisplay
from vizlib.displays.curves import COLOURS
from vizlib.displays.film import NOW, SHEETS, FilmDisplay
from vizlib.errors import UserError
from vizlib.run import moments

SIZE = (1000, 760)
Box = tuple[int, int, int, int]  # left, top, right, bottom
Grid = tuple[float, float, float, float]
PANELS: dict[str, Box] = {
    "filters": (20, 84, 490, 396),
    "maps": (510, 84, 980, 396),
    "matrix": (20, 412, 490, 724),
    "curves": (510, 412, 980, 724),
}
HEAD, LAST_SECONDS = 34, 3.0  # pixels of a panel's heading; how long the last frame stays
THUMB, GAP = 64, 10  # pixels of the probe picture, and beside it
INK = "#0f172a"
GREY = "#64748b"
PALE = "#e2e8f0"
THIN = "#7dd3e6"
HEADS = {
    "filters": "First filters",
    "maps": "Feature maps",
    "matrix": "Validation images",
    "curves": "Loss and accuracy",
}
NOTE = (
    "Filters: one colour scale for all steps; maps: one each step. Matrix: rows true, columns "
    "predicted. Curves: thin training, thick validation."
)


def frame(film: FilmDisplay, step: int) -> Image.Image:
    """One picture of the film, RGB, SIZE."""
    picture = Image.new("RGB", SIZE, "white")
    draw = ImageDraw.Draw(picture)
    _write(draw, (20, 34), f"{film.name}, trained on {film.dataset}", 25, most=660)
    _write(draw, (980, 34), f"step {step:,}", 38, NOW, anchor="rm")
    draw.rectangle((20, 68, 980, 71), PALE)
    draw.rectangle((20, 68, 20 + 960 * _share(step, film.end), 71), NOW)
    painters = {"filters": _filters, "maps": _maps, "matrix": _matrix, "curves": _curves}
    for name, painter in painters.items():
        box = PANELS[name]
        try:
            painter(film, picture, box, step)
        except UserError as error:
            _head(picture, box, HEADS[name])
            _write(draw, (box[0], box[1] + 2 * HEAD), str(error), 17, GREY, most=470)
    _write(draw, (20, 743), NOTE, 15, GREY, most=960)
    return picture


def animation(film: FilmDisplay, say: Callable[[float], object] = lambda share: None) -> bytes:
    """The film as bytes of a GIF: at most moments.FRAMES frames, each moments.FRAME_SECONDS long,
    the last one held. say: told the share done.
    """
    pictures, steps = [], moments.frames(film.steps)
    for number, step in enumerate(steps):
        pictures.append(_quantised(frame(film, step)))
        say((number + 1) / (len(steps) + 1))
    seconds = [moments.FRAME_SECONDS] * (len(pictures) - 1) + [LAST_SECONDS]
    file = io.BytesIO()
    pictures[0].save(
        file,
        "GIF",
        save_all=True,
        append_images=pictures[1:],
        duration=[round(1000 * each) for each in seconds],
        loop=0,
        optimize=False,
    )
    return file.getvalue()


def _filters(film: FilmDisplay, picture: Image.Image, box: Box, step: int) -> None:
    shown_step, atlas = film.filters_at(step)
    _head(picture, box, HEADS["filters"], shown_step)
    picture.paste(*_sheet(atlas, "filters"))


def _maps(film: FilmDisplay, picture: Image.Image, box: Box, step: int) -> None:
    shown_step, atlas = film.maps_at(step)
    _head(picture, box, f"Maps of {film.layer}", shown_step)
    assert film.probe_picture is not None  # where there is none, maps_at has said so
    probe = (
        Image.fromarray(np.squeeze(film.probe_picture))
        .convert("RGB")
        .resize((THUMB, THUMB), Image.Resampling.NEAREST)
    )
    picture.paste(probe, (box[0], box[1] + HEAD))
    picture.paste(*_sheet(atlas, "maps"))


def _matrix(film: FilmDisplay, picture: Image.Image, box: Box, step: int) -> None:
    shown_step, (display, verdict) = film.matrix_at(step)
    _head(picture, box, f"{verdict.accuracy:.0%} right, {verdict.level}", shown_step)
    names = film.class_names if len(display.counts) <= MOST_WRITTEN else []
    gutter = min(84, 20 + 8 * max(map(len, names))) if names else 0
    grid = (box[0] + gutter, box[1] + HEAD + gutter * 0.75, *box[2:])
    _cells(picture, grid, display)
    if names:
        _class_names(picture, grid, names, gutter)


def _cells(picture: Image.Image, grid: Grid, display: ConfusionDisplay) -> None:
    left, top, across, down = _spacing(grid, len(display.counts))
    draw = ImageDraw.Draw(picture)
    size = int(min(15, down - 3, across / 2.4))
    signed = np.nan_to_num(display.signed_shares)
    for (row, column), share in np.ndenumerate(display.shares):
        x, y = left + column * across, top + row * down
        corners = (round(x), round(y), round(x + across) - 2, round(y + down) - 2)
        draw.rectangle(corners, _cell_colour(float(signed[row, column])))
        count = display.counts[row, column]
        if size >= 8 and count:
            middle = (x + across / 2 - 1, y + down / 2 - 1)
            _write(draw, middle, f"{count:,}", size, "white" if share > 0.62 else INK, anchor="mm")


def _class_names(picture: Image.Image, grid: Grid, names: list[str], gutter: int) -> None:
    """To the left of the cells, and upright above them."""
    left, top, across, down = _spacing(grid, len(names))
    draw = ImageDraw.Draw(picture)
    for number, name in enumerate(names):
        end = (left - 6, top + (number + 0.5) * down)
        _write(draw, end, name, min(14, down), anchor="rm", most=gutter - 6)
        foot = (left + (number + 0.5) * across, top - 4)
        picture.paste(*_upright(name, foot, min(14, across), gutter * 0.75 - 4))


def _spacing(grid: Grid, classes: int) -> Grid:
    """Where a matrix begins, left and top, and how far its cells lie apart, across and down."""
    left, top, right, bottom = grid
    return left, top, (right - left) / classes, (bottom - top) / classes


def _curves(film: FilmDisplay, picture: Image.Image, box: Box, step: int) -> None:
    left, top, right, bottom = box
    middle = (top + bottom) // 2
    for quantity, box in (
        ("loss", (left, top, right, middle - 4)),
        ("accuracy", (left, middle + 4, right, bottom)),
    ):
        picture.paste(_curve(film, quantity, step, box), box[:2])


def _curve(film: FilmDisplay, quantity: str, step: int, box: Box) -> Image.Image:
    """One small chart, drawn at twice its size and shrunk, so that its lines are smooth."""
    canvas = Image.new("RGB", (2 * (box[2] - box[0]), 2 * (box[3] - box[1])), "white")
    draw, lines = ImageDraw.Draw(canvas), film.lines(quantity)
    values = [value for line in lines.values() for _, value in line]
    top = 1.0 if quantity == "accuracy" else _round_above(max(values, default=1.0))
    axes = _Axes((96, 64, canvas.width - 8, canvas.height - 40), film.end, top)
    axes.draw(draw, is_share=quantity == "accuracy")
    for words, width, tone in (("training", 3, THIN), ("validation", 8, COLOURS[0])):
        points = [axes.point_of(*pair) for pair in lines[words] if pair[0] <= step]
        _draw_line(draw, points, width, tone, has_dots=words == "validation")
    now = axes.point_of(step, 0)[0]
    draw.line((now, axes.box[1], now, axes.box[3]), NOW, 5)
    _write(draw, (0, 20), quantity.capitalize(), 38)
    return canvas.resize((canvas.width // 2, canvas.height // 2), Image.Resampling.LANCZOS)


@dataclass(frozen=True)
class _Axes:
    """Those of a chart: the box between them, the last step, the value at the top."""

    box: Box
    end: int
    top: float

    def point_of(self, step: int, value: float) -> tuple[float, float]:
        left, high, right, low = self.box
        share = min(1, max(0, value / self.top))
        return left + (right - left) * _share(step, self.end), low - (low - high) * share

    def draw(self, draw: ImageDraw.ImageDraw, is_share: bool) -> None:
        """Three lines with their values, in percent where they are shares, and powers of ten."""
        left, high, right, low = self.box
        for share in (0, 0.5, 1):
            y = low - (low - high) * share
            draw.line((left, y, right, y), PALE, 2)
            words = f"{share:.0%}" if is_share else f"{self.top * share:.2g}"
            _write(draw, (left - 12, y), words, 26, GREY, anchor="rm")
        for tick in (10**power for power in range(int(math.log10(self.end)) + 1)):
            foot = (self.point_of(tick, 0)[0], low + 38)
            _write(draw, foot, f"{tick:,}", 26, GREY, anchor="ms")


def _draw_line(
    draw: ImageDraw.ImageDraw,
    points: list[tuple[float, float]],
    width: int,
    tone: str,
    has_dots: bool,
) -> None:
    if points:
        draw.line(points, tone, width, joint="curve")
    for x, y in points if has_dots else ():
        draw.ellipse((x - 8, y - 8, x + 8, y + 8), tone)


def _round_above(value: float) -> float:
    """The least number of one digit that is no smaller."""
    power = 10 ** math.floor(math.log10(value)) if value > 0 else 1
    return math.ceil(value / power) * power or 1


def _share(step: int, end: float) -> float:
    """Where a step lies on the logarithmic axis, in [0, 1]; step 0 at its beginning."""
    return math.log(max(step, 0.5) / 0.5) / math.log(end / 0.5)


def _write(
    draw: ImageDraw.ImageDraw,
    point: tuple[float, float],
    text: str,
    size: float,
    colour: str = INK,
    anchor: str = "lm",
    most: float | None = None,
) -> None:
    """Text in Pillow's own font, cut where it would be wider than `most` pixels."""
    font, text = (
        ImageFont.load_default(max(1, size)),
        "".join(letter if letter.isprintable() else " " for letter in text),
    )
    while most and len(text) > 1 and font.getlength(text) > most:
        text = text[:-2].rstrip() + "…" if text.endswith("…") else text[:-1].rstrip() + "…"
    draw.text(point, text, colour, font, anchor=anchor)


def _upright(
    text: str, foot: tuple[float, float], size: float, most: float
) -> tuple[Image.Image, tuple[int, int]]:
    """Text that is read from below, its foot at a point: (picture, left and top), to be pasted."""
    picture = Image.new("RGB", (int(most), int(size) + 4), "white")
    _write(ImageDraw.Draw(picture), (0, picture.height / 2), text, size, most=most)
    return picture.transpose(Image.Transpose.ROTATE_90), (
        round(foot[0] - picture.height / 2),
        round(foot[1] - most),
    )


def _head(picture: Image.Image, box: Box, words: str, step: int | None = None) -> None:
    draw, middle = ImageDraw.Draw(picture), box[1] + HEAD // 2 - 4
    _write(draw, (box[0], middle), words, 20, most=box[2] - box[0] - 110)
    if step is not None:
        _write(draw, (box[2], middle), f"step {step:,}", 16, GREY, anchor="rm")


def _sheet(atlas: Atlas, panel: str) -> tuple[Image.Image, tuple[int, int]]:
    """An Atlas on white, as large as it fits in its panel: (picture, left and top)."""
    (left, top, *_), (width, height) = PANELS[panel], SHEETS[panel]
    sheet = atlas.image(
        max(1, int(factor_within(atlas.tiles.shape, atlas.columns, width, height)))
    ).convert("RGBA")
    sheet.thumbnail((width, height))  # where not even one pixel each fits
    return Image.alpha_composite(Image.new("RGBA", sheet.size, "white"), sheet).convert("RGB"), (
        left + (THUMB + GAP if panel == "maps" else 0),
        top + HEAD,
    )


def _cell_colour(signed_share: float) -> tuple[int, ...]:
    """The matrix's colour for a share of its row, below zero if wrong, as on the page; white where
    there is none.
    """
    if not signed_share:
        return 255, 255, 255
    kept = [(end, ImageColor.getrgb(colour)) for end, colour in LIGHT if colour != NOTHING]
    ends, colours = zip(*kept, strict=True)
    share = (signed_share + 1) / 2
    return tuple(
        round(float(np.interp(share, ends, channel))) for channel in zip(*colours, strict=True)
    )


def _quantised(picture: Image.Image) -> Image.Image:
    """The picture in 256 colours of its own: the best for every third pixel, each colour then
    exactly the nearest.
    """
    small = picture.resize((picture.width // 3, picture.height // 3), Image.Resampling.NEAREST)
    colours = np.array(
        small.quantize(256, Image.Quantize.MEDIANCUT, kmeans=1).getpalette()
    ).reshape(-1, 3)
    red, green, blue = np.asarray(picture, np.uint32).transpose(2, 0, 1)
    packed = red << 16 | green << 8 | blue
    seen = np.zeros(1 << 24, bool)
    seen[packed] = True
    present = np.flatnonzero(seen)
    each = np.stack([present >> 16, present >> 8 & 255, present & 255], axis=1)
    nearest = np.zeros(1 << 24, np.uint8)
    nearest[present] = np.square(each[:, None] - colours).sum(axis=2).argmin(axis=1)
    result = Image.fromarray(nearest[packed], "P")
    result.putpalette(colours.astype(np.uint8).tobytes())
    return result
