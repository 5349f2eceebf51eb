"""The film of learning as an animated picture: filters, a probe picture's maps, confusion matrix and curves of one training, step after step."""

import io
import math
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
from PIL import Image, ImageColor, ImageDraw, ImageFont

from vizlib import moments
from vizlib.collapse import judge
from vizlib.displays.confusion import LIGHT, MOST_WRITTEN, ConfusionDisplay
from vizlib.displays.curves import COLOURS, QUANTITIES, CurvesDisplay, History, smoothed, weight_for
from vizlib.displays.feature_maps import FeatureMapsDisplay
from vizlib.displays.filters import FiltersDisplay
from vizlib.errors import UserError, unknown

SIZE = (1000, 760)
PANELS = {"filters": (20, 84, 490, 396), "maps": (510, 84, 980, 396), "matrix": (20, 412, 490, 724), "curves": (510, 412, 980, 724)}  # left, top, right, bottom
HEAD, LAST_SECONDS = 34, 3.0  # pixels of a panel's heading; how long the last frame stays
THUMB, GAP = 64, 10  # pixels of the probe picture, and beside it
INK, GREY, NOW = "#0f172a", "#64748b", "#ea580c"
HEADS = {"filters": "First filters", "maps": "Feature maps", "matrix": "Validation images", "curves": "Loss and accuracy"}
NOTE = "Filters: one colour scale for all steps; maps: one each step. Matrix: rows true, columns predicted. Curves: thin training, thick validation."


@dataclass(frozen=True)
class FilmDisplay:
    """What is stored of a training, by step.

    filters: {step: conv1's weight (out, in, h, w)}. maps: {step: FeatureMapsDisplay of `layer`} for the probe picture, uint8 (H, W, C) or None.
    evaluations: [(epoch event, counts int (K, K))]. history: its curves. growing: whether the training goes on.
    """

    name: str
    dataset: str
    class_names: list
    filters: dict
    layer: str | None
    maps: dict
    picture: np.ndarray | None
    evaluations: list
    history: History
    steps: list
    ordered: bool = False
    growing: bool = False

    @classmethod
    def from_run(cls, run, layer=None):
        """Read a run folder. layer: of the probe picture's maps, the first stored one if left out. UserError if it is none, or nothing is stored."""
        filters, stored = moments.filters(run), moments.probe_layers(run)
        layers = moments.in_order(run, [name for names in stored.values() for name in names])
        if layer is not None and layer not in layers:
            raise unknown("stored layer", layer, layers)
        layer = layer or next(iter(layers), None)
        maps = {step: FeatureMapsDisplay.from_activation(*moments.probe_maps(run, step, layer)) for step, names in stored.items() if layer in names}
        return cls.of(run, filters, layer, maps, moments.probe_picture(run), moments.steps(run, filters, stored))

    @classmethod
    def of(cls, run, filters, layer, maps, picture, steps):
        """The same, of arrays that have been read. UserError if nothing is stored."""
        if not steps:
            raise UserError(f"{run.run_id!r} has no film: nothing is stored along its training.")
        history = CurvesDisplay.from_runs([run]).histories[run.run_id]
        known = dict(ordered=bool(run.config.get("ordered")), growing=run.is_active)
        return cls(run.run_id, run.config["dataset"], list(run.class_names), filters, layer, maps, picture, moments.evaluations(run), history, steps, **known)

    # What each panel shows at a step: (the step it is of, what it shows). UserError with a sentence where it has nothing.

    def filters_at(self, step):
        """The Atlas of the filters last stored, on one colour scale over the film."""
        at = self._last(self.filters, step, "filters")
        display = FiltersDisplay.from_weight(self.filters[at], self._limit)
        return at, replace(display.colour_atlas() if display.is_colour else display.channel_atlas(0), across=_columns(self.filters[at].shape[:1] + self.filters[at].shape[2:], "filters"))

    def maps_at(self, step):
        """The Atlas of the maps last stored; the colours span this step's values."""
        at = self._last(self.maps if self.picture is not None else {}, step, "maps of a probe picture")
        return at, replace(self.maps[at].atlas("layer"), across=_columns(self.maps[at].maps.shape, "maps"))

    def matrix_at(self, step):
        """(ConfusionDisplay, Verdict) of the last evaluation on the validation images."""
        counts = {row["step"]: counts for row, counts in self.evaluations}
        at = self._last(counts, step, "evaluation")
        return at, (ConfusionDisplay(counts[at], self.class_names), judge(counts[at], self.class_names, ordered=self.ordered))

    def _last(self, stored, step, what):
        at = moments.at(stored, step)
        if at is None and stored:
            raise UserError(f"Not yet: the first {what} {'is' if what == 'evaluation' else 'are'} of step {min(stored):,}.")
        if at is None:
            raise UserError(f"No {what} {'is' if what == 'evaluation' else 'are'} stored {'yet' if self.growing else 'along this training'}.")
        return at

    @cached_property
    def _limit(self):
        return max(float(np.abs(weight).max()) for weight in self.filters.values())

    def lines(self, quantity):
        """What is drawn of a quantity: {"training" | "validation": [(step, value), ...]}; the training smoothed, as on the page of curves."""
        train, validation = ([(row["step"], row[key]) for row in rows if _is_number(row.get(key))] for rows, key in self._sources(quantity))
        values = smoothed([value for _, value in train], weight_for(0.8, len(train)))
        return {"training": list(zip([step for step, _ in train], values)), "validation": validation}

    def _sources(self, quantity):
        train, validation = QUANTITIES[quantity]
        by_step = any(_is_number(row.get(train)) for row in self.history.steps)
        return (self.history.steps if by_step else self.history.epochs, train), (self.history.epochs, validation)

    def plot_curve(self, quantity, step, height):
        """A Plotly figure of a quantity over the steps, which are logarithmic as the stored ones are: what comes after `step` is pale."""
        if not self.history.steps and not self.history.epochs:
            raise UserError(f"No step is noted {'yet' if self.growing else 'along this training'}.")
        figure = CurvesDisplay({self.name: self.history}).plot(quantity, "steps", 0.8, until=step, narrow=True)
        low, high = math.log10(0.5), math.log10(self._end * 1.15)
        figure.update_xaxes(type="log", range=[low, high], title=None, dtick=1, rangemode="normal")
        figure.update_yaxes(automargin=False, **(dict(range=[0, 1.03], tickvals=[0, 0.5, 1]) if quantity == "accuracy" else dict(rangemode="tozero", nticks=4)))
        figure.update_layout(height=height, showlegend=False, margin=dict(l=70, r=10, t=10, b=24))
        figure.add_vline(max(step, 0.5), line=dict(color=NOW, width=3))
        return figure

    @property
    def _end(self):
        return max(self.steps[-1], *(row["step"] for row in self.history.steps[-1:]), 2)

    # Frames

    def frame(self, step):
        """One picture of the film, RGB, SIZE."""
        picture = Image.new("RGB", SIZE, "white")
        draw = ImageDraw.Draw(picture)
        _write(draw, (20, 34), f"{self.name}, trained on {self.dataset}", 25, most=660)
        _write(draw, (980, 34), f"step {step:,}", 38, NOW, anchor="rm")
        draw.rectangle((20, 68, 980, 71), "#e2e8f0")
        draw.rectangle((20, 68, 20 + 960 * _share(step, self._end), 71), NOW)
        for name, painter in (("filters", self._filters), ("maps", self._maps), ("matrix", self._matrix), ("curves", self._curves)):
            try:
                painter(picture, PANELS[name], step)
            except UserError as error:
                _head(picture, PANELS[name], HEADS[name])
                _write(draw, (PANELS[name][0], PANELS[name][1] + 2 * HEAD), str(error), 17, GREY, most=470)
        _write(draw, (20, 743), NOTE, 15, GREY, most=960)
        return picture

    def animation(self, say=lambda share: None):
        """The film as bytes of a GIF: at most moments.FRAMES frames, each moments.FRAME_SECONDS long, the last one held. say: told the share done."""
        pictures, steps = [], moments.frames(self.steps)
        for number, step in enumerate(steps):
            pictures.append(_quantised(self.frame(step)))
            say((number + 1) / (len(steps) + 1))
        milliseconds = [round(1000 * moments.FRAME_SECONDS)] * (len(pictures) - 1) + [round(1000 * LAST_SECONDS)]
        file = io.BytesIO()
        pictures[0].save(file, "GIF", save_all=True, append_images=pictures[1:], duration=milliseconds, loop=0, optimize=False)
        return file.getvalue()

    def _filters(self, picture, box, step):
        at, atlas = self.filters_at(step)
        _head(picture, box, HEADS["filters"], at)
        picture.paste(*_sheet(atlas, "filters"))

    def _maps(self, picture, box, step):
        at, atlas = self.maps_at(step)
        _head(picture, box, f"Maps of {self.layer}", at)
        probe = Image.fromarray(np.squeeze(self.picture)).convert("RGB").resize((THUMB, THUMB), Image.Resampling.NEAREST)
        picture.paste(probe, (box[0], box[1] + HEAD))
        picture.paste(*_sheet(atlas, "maps"))

    def _matrix(self, picture, box, step):
        at, (display, verdict) = self.matrix_at(step)
        _head(picture, box, f"{verdict.accuracy:.0%} right, {verdict.level}", at)
        left, top, right, bottom = box[0], box[1] + HEAD, *box[2:]
        classes, names, draw = len(display.counts), self.class_names, ImageDraw.Draw(picture)
        gutter = min(84, 20 + 8 * max(map(len, names))) if classes <= MOST_WRITTEN else 0
        left, top = left + gutter, top + gutter * 0.75
        across, down = (right - left) / classes, (bottom - top) / classes
        size = int(min(15, down - 3, across / 2.4))
        for (row, column), share in np.ndenumerate(display.shares):
            x, y = left + column * across, top + row * down
            draw.rectangle((round(x), round(y), round(x + across) - 2, round(y + down) - 2), _cell_colour(share))
            if size >= 8 and display.counts[row, column]:
                _write(draw, (x + across / 2 - 1, y + down / 2 - 1), f"{display.counts[row, column]:,}", size, "white" if share > 0.62 else INK, anchor="mm")
        for number, name in enumerate(names if gutter else ()):
            _write(draw, (left - 6, top + (number + 0.5) * down), name, min(14, down), anchor="rm", most=gutter - 6)
            picture.paste(*_upright(name, (left + (number + 0.5) * across, top - 4), min(14, across), gutter * 0.75 - 4))

    def _curves(self, picture, box, step):
        if not self.history.steps and not self.history.epochs:
            self.plot_curve("loss", step, 0)  # which says so
        left, top, right, bottom = box
        middle = (top + bottom) // 2
        for quantity, place in (("loss", (left, top, right, middle - 4)), ("accuracy", (left, middle + 4, right, bottom))):
            picture.paste(self._curve(quantity, step, place), place[:2])

    def _curve(self, quantity, step, place):
        """One small chart, drawn at twice its size and shrunk, so that its lines are smooth."""
        width, height = 2 * (place[2] - place[0]), 2 * (place[3] - place[1])
        canvas = Image.new("RGB", (width, height), "white")
        draw, lines = ImageDraw.Draw(canvas), self.lines(quantity)
        values = [value for line in lines.values() for _, value in line]
        top = 1.0 if quantity == "accuracy" else _round_above(max(values, default=1.0))
        left, right, high, low = 96, width - 8, 64, height - 40

        def place_of(at, value):
            return left + (right - left) * _share(at, self._end), low - (low - high) * min(1, max(0, value / top))

        for share in (0, 0.5, 1):
            y = low - (low - high) * share
            draw.line((left, y, right, y), "#e2e8f0", 2)
            _write(draw, (left - 12, y), f"{share:.0%}" if quantity == "accuracy" else f"{top * share:.2g}", 26, GREY, anchor="rm")
        for at in (10**power for power in range(int(math.log10(self._end)) + 1)):
            _write(draw, (place_of(at, 0)[0], height - 2), f"{at:,}", 26, GREY, anchor="ms")
        colour = COLOURS[0]
        for words, width, tone in (("training", 3, "#7dd3e6"), ("validation", 8, colour)):
            points = [place_of(at, value) for at, value in lines[words] if at <= step]
            if points:
                draw.line(points, tone, width, joint="curve")
            for x, y in points if words == "validation" else ():
                draw.ellipse((x - 8, y - 8, x + 8, y + 8), tone)
        draw.line((place_of(step, 0)[0], high, place_of(step, 0)[0], low), NOW, 5)
        _write(draw, (0, 20), quantity.capitalize(), 38)
        return canvas.resize((canvas.width // 2, canvas.height // 2), Image.Resampling.LANCZOS)


def _is_number(value):
    return isinstance(value, (int, float)) and math.isfinite(value)


def _round_above(value):
    """The least number of one digit that is no smaller."""
    power = 10 ** math.floor(math.log10(value)) if value > 0 else 1
    return math.ceil(value / power) * power or 1


def _share(step, end):
    """Where a step lies on the logarithmic axis, in [0, 1]; step 0 at its beginning."""
    return math.log(max(step, 0.5) / 0.5) / math.log(end / 0.5)


def _write(draw, place, text, size, colour=INK, anchor="lm", most=None):
    """Text in Pillow's own font, cut where it would be wider than `most` pixels."""
    font = ImageFont.load_default(max(1, size))
    while most and len(text) > 1 and font.getlength(text) > most:
        text = text[:-2].rstrip() + "…" if text.endswith("…") else text[:-1].rstrip() + "…"
    draw.text(place, text, colour, font, anchor=anchor)


def _upright(text, foot, size, most):
    """Text that is read from below, its foot at a place: (picture, left and top), to be pasted."""
    picture = Image.new("RGB", (int(most), int(size) + 4), "white")
    _write(ImageDraw.Draw(picture), (0, picture.height / 2), text, size, most=most)
    return picture.transpose(Image.Transpose.ROTATE_90), (round(foot[0] - picture.height / 2), round(foot[1] - most))


def _head(picture, box, words, step=None):
    draw, middle = ImageDraw.Draw(picture), box[1] + HEAD // 2 - 4
    _write(draw, (box[0], middle), words, 20, most=box[2] - box[0] - 110)
    if step is not None:
        _write(draw, (box[2], middle), f"step {step:,}", 16, GREY, anchor="rm")


def _columns(shape, panel):
    """How many columns tiles of a shape (N, h, w) are largest in, in a panel; a little smaller ones that leave fewer places empty are better."""
    left, top, right, bottom = _sheet_box(panel)

    def worth(columns):
        rows = -(-shape[0] // columns)
        return _factor(shape, columns, right - left, bottom - top) * (shape[0] / (rows * columns)) ** 2

    return max(range(1, shape[0] + 1), key=worth)


def _factor(shape, columns, width, height):
    """The whole number that tiles of a shape (N, h, w) can be enlarged by in so many columns; a fraction where they have to be made smaller."""
    fits = min((width // columns - 1) / shape[2], (height // -(-shape[0] // columns) - 1) / shape[1])
    return math.floor(fits) if fits >= 1 else fits


def _sheet_box(panel):
    """Where a panel has its sheet of tiles."""
    left, top, right, bottom = PANELS[panel]
    return left + (THUMB + GAP if panel == "maps" else 0), top + HEAD, right, bottom


def _sheet(atlas, panel):
    """An Atlas on white, as large as it fits in its panel: (picture, left and top)."""
    left, top, right, bottom = _sheet_box(panel)
    factor = _factor(atlas.tiles.shape, atlas.columns, right - left, bottom - top)
    sheet = atlas.image(max(1, int(factor))).convert("RGBA")
    sheet.thumbnail((right - left, bottom - top))  # where not even one pixel each fits
    return Image.alpha_composite(Image.new("RGBA", sheet.size, "white"), sheet).convert("RGB"), (left, top)


def _cell_colour(share):
    """The matrix's colour for a share of its row, as on the page."""
    places, colours = zip(*((place, ImageColor.getrgb(colour)) for place, colour in LIGHT))
    return tuple(round(float(np.interp(share, places, channel))) for channel in zip(*colours))


def _quantised(picture):
    """The picture in 256 colours of its own: the best for every third pixel, each colour then exactly the nearest, which Pillow's own palettes are not."""
    small = picture.resize((picture.width // 3, picture.height // 3), Image.Resampling.NEAREST)
    colours = np.array(small.quantize(256, Image.Quantize.MEDIANCUT, kmeans=1).getpalette()).reshape(-1, 3)
    red, green, blue = np.asarray(picture, np.uint32).transpose(2, 0, 1)
    packed = red << 16 | green << 8 | blue
    seen = np.zeros(1 << 24, bool)
    seen[packed] = True
    found = np.flatnonzero(seen)
    each = np.stack([found >> 16, found >> 8 & 255, found & 255], axis=1)
    nearest = np.zeros(1 << 24, np.uint8)
    nearest[found] = np.square(each[:, None] - colours).sum(axis=2).argmin(axis=1)
    result = Image.fromarray(nearest[packed], "P")
    result.putpalette(colours.astype(np.uint8).tobytes())
    return result
