"""Many small maps as one picture: a tile for each, an 8-bit palette PNG.

One picture for a whole layer takes milliseconds where a chart for each channel takes seconds
(benchmarks/render.py), stays lossless, and its pixels can be clicked by arithmetic.
"""

from __future__ import annotations

import base64
import html
import io
import math
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property, lru_cache

import numpy as np
from PIL import Image, ImageDraw

GAP = 255  # the palette's last entry: transparent, between tiles
LEVELS = 255  # the others: 0 to 254
# pixels; smaller maps are enlarged by a whole factor, so that gaps stay thin and crosses visible
SMALLEST_TILE = 14
MOST_PIXELS = 4_000_000
SEQUENTIAL = "viridis"
DIVERGING = "RdBu_r"
HEAT = "inferno"  # over a picture
# of a colour scale: one number, or an array (N, 1, 1) of one a tile
Limit = float | np.floating | np.ndarray


@lru_cache(maxsize=4)
def palette(name: str) -> np.ndarray:
    """256 colours, uint8 (256, 3): LEVELS steps of a Plotly colour scale, then the gap's."""
    from plotly.colors import get_colorscale, sample_colorscale

    colours = sample_colorscale(
        get_colorscale(name), np.linspace(0, 1, LEVELS).tolist(), colortype="tuple"
    )
    return np.vstack([np.round(np.array(colours) * 255), [255, 255, 255]]).astype(np.uint8)


def columns_for(count: int) -> int:
    """How many columns `count` tiles read well in: wide, and with no ragged last row where a
    divisor is near.
    """
    ideal = math.sqrt(2.4 * count)
    divisors = [
        number
        for number in range(1, count + 1)
        if count % number == 0 and ideal / 1.8 <= number <= ideal * 1.8
    ]
    return min(
        divisors,
        key=lambda number: abs(math.log(number / ideal)),
        default=min(count, math.ceil(ideal)),
    )


def columns_within(shape: tuple[int, ...], width: int, height: int) -> int:
    """In how many columns tiles of a shape (N, h, w) are largest in so many pixels; a little
    smaller ones that leave fewer places empty are better.
    """

    def worth(columns: int) -> float:
        rows = -(-shape[0] // columns)
        return factor_within(shape, columns, width, height) * (shape[0] / (rows * columns)) ** 2

    return max(range(1, shape[0] + 1), key=worth)


def factor_within(shape: tuple[int, ...], columns: int, width: int, height: int) -> float:
    """The whole number that tiles of a shape (N, h, w) can be enlarged by in so many columns; a
    fraction where they have to be made smaller.
    """
    fits = min(
        (width // columns - 1) / shape[2], (height // -(-shape[0] // columns) - 1) / shape[1]
    )
    return math.floor(fits) if fits >= 1 else fits


def quantise(maps: np.ndarray, low: Limit, high: Limit) -> np.ndarray:
    """Maps float (N, h, w) as palette entries 0 to 254, uint8; `low` and `high` are numbers or
    arrays (N, 1, 1). Not-a-number becomes a gap.
    """
    span = np.asarray(high - low, np.float32)
    scaled = (maps - low) * np.divide(LEVELS - 1, span, out=np.zeros_like(span), where=span > 0)
    return np.where(
        np.isfinite(scaled), np.clip(np.nan_to_num(scaled) + 0.5, 0, LEVELS - 1), GAP
    ).astype(np.uint8)


@dataclass(frozen=True)
class Atlas:
    """Tiles in rows. tiles: uint8 (N, h, w) entries of a palette, or (N, h, w, 3) colours.

    low, high: the values at the ends of the colour bar; None where each tile has its own, or there
    are no values. crossed: the tiles marked with a cross. labels: what each tile says when pointed
    at. across: how many columns, columns_for() if 0.
    """

    tiles: np.ndarray
    palette_name: str = ""
    low: float | None = None
    high: float | None = None
    crossed: tuple[int, ...] = ()
    labels: tuple[str, ...] = ()
    across: int = 0

    @property
    def columns(self) -> int:
        return self.across or columns_for(len(self.tiles))

    @property
    def rows(self) -> int:
        return -(-len(self.tiles) // self.columns)

    @property
    def factor(self) -> int:
        """The whole number that every tile is enlarged by."""
        height, width = self.tiles.shape[1:3]
        wanted = -(-SMALLEST_TILE // min(height, width))
        possible = int(math.sqrt(MOST_PIXELS / max(1, self.tiles.shape[0] * height * width)))
        return max(1, min(wanted, possible))

    def image(self, factor: int | None = None) -> Image.Image:
        """The whole sheet as a PIL picture: palette mode with transparent gaps, or RGBA. factor:
        that tiles are enlarged by, `self.factor` if left out.
        """
        factor = factor or self.factor
        if self.tiles.ndim == 4:
            opaque = np.full((*self.tiles.shape[:3], 1), 255, np.uint8)
            return Image.fromarray(
                self._sheet(np.concatenate([self.tiles, opaque], axis=3), factor, 0)
            )
        picture = Image.fromarray(self._sheet(self.tiles, factor, GAP), "P")
        picture.putpalette(palette(self.palette_name).tobytes())
        return picture

    def _sheet(self, tiles: np.ndarray, factor: int, gap: int) -> np.ndarray:
        """The tiles enlarged and in rows, with a pixel of `gap`, which is transparent, between."""
        count, height, width, *depth = tiles.shape
        grid = np.full((self.rows * self.columns, height, width, *depth), gap, np.uint8)
        grid[:count] = tiles
        if factor > 1:
            grid = grid.repeat(factor, axis=1).repeat(factor, axis=2)
        tile_height, tile_width = grid.shape[1] + 1, grid.shape[2] + 1
        sheet = np.full((self.rows, tile_height, self.columns, tile_width, *depth), gap, np.uint8)
        in_rows = grid.reshape(self.rows, self.columns, *grid.shape[1:])
        sheet[:, :-1, :, :-1] = in_rows.swapaxes(1, 2)
        return sheet.reshape(self.rows * tile_height, self.columns * tile_width, *depth)

    def card(self) -> bytes:
        """PNG bytes of the sheet on a ground twice as wide as tall, so that cards beside one
        another line up.
        """
        sheet = self.image().convert("RGBA")
        width = max(sheet.width, 2 * sheet.height)
        ground = Image.new("RGBA", (width, -(-width // 2)))
        ground.paste(sheet)
        file = io.BytesIO()
        ground.save(file, "PNG")
        return file.getvalue()

    def png(self) -> bytes:
        """The sheet as PNG bytes, without crosses: for a page, which draws them over it."""
        file, picture = io.BytesIO(), self.image()
        picture.save(
            file, "PNG", compress_level=1, **({"transparency": GAP} if picture.mode == "P" else {})
        )
        return file.getvalue()

    def tile_png(self, tile: int) -> bytes:
        """One tile alone as PNG bytes, a pixel for each of its values."""
        file, picture = io.BytesIO(), Image.fromarray(self.tiles[tile], "P")
        picture.putpalette(palette(self.palette_name).tobytes())
        picture.save(file, "PNG", compress_level=1, transparency=GAP)
        return file.getvalue()

    @cached_property
    def data_url(self) -> str:
        """png() as an address that holds its own content."""
        return "data:image/png;base64," + base64.b64encode(self.png()).decode()

    def bar_colours(self) -> list[str]:
        """Sixteen CSS colours from the low to the high end of the colour bar; none where tiles are
        colours themselves.
        """
        if not self.palette_name:
            return []
        return [
            f"#{bytes(colour).hex()}"
            for colour in palette(self.palette_name)[np.linspace(0, LEVELS - 1, 16).astype(int)]
        ]

    def bar_ends(self) -> list[str]:
        """The texts at the ends of the colour bar."""
        if not self.palette_name:
            return ["", ""]
        if self.low is not None:
            return [f"{self.low:.3g}", f"{self.high:.3g}"]
        return (
            ["minus each map's largest", "plus its largest"]
            if self.palette_name == DIVERGING
            else ["0", "each map's greatest"]
        )

    def cross_lines(self) -> Iterator[tuple[float, float, float, float]]:
        """The crosses as lines (x1, y1, x2, y2), in tiles."""
        for tile in self.crossed:
            row, column = divmod(tile, self.columns)
            yield column + 0.15, row + 0.15, column + 0.8, row + 0.8
            yield column + 0.8, row + 0.15, column + 0.15, row + 0.8

    def figure_png(self, caption: str) -> bytes:
        """PNG bytes to keep: enlarged to about 1,200 pixels, white ground, with crosses, colour bar
        and caption.
        """
        sheet = self._enlarged_sheet()
        # Pillow's own font has no such sign
        lines = _wrapped(caption.replace("×", "x"), sheet.width // 7)
        figure = Image.new("RGB", (sheet.width + 20, sheet.height + 60 + 16 * len(lines)), "white")
        figure.paste(sheet, (10, 10))
        draw, top = ImageDraw.Draw(figure), sheet.height + 18
        for number, colour in enumerate(self.bar_colours()):
            draw.rectangle((10 + 12 * number, top, 22 + 12 * number, top + 10), fill=colour)
        if self.palette_name:
            draw.text((10, top + 12), "  to  ".join(self.bar_ends()), fill="black")
        for number, line in enumerate(lines):
            draw.text((10, top + 28 + 16 * number), line, fill="black")
        file = io.BytesIO()
        figure.save(file, "PNG")
        return file.getvalue()

    def _enlarged_sheet(self) -> Image.Image:
        """About 1,200 pixels wide, with crosses, on white."""
        sheet = self.image().convert("RGBA")
        sheet = Image.alpha_composite(Image.new("RGBA", sheet.size, "white"), sheet).convert("RGB")
        scale = max(1, round(1200 / sheet.width))
        sheet = sheet.resize((sheet.width * scale, sheet.height * scale), Image.Resampling.NEAREST)
        draw = ImageDraw.Draw(sheet)
        across, down = sheet.width / self.columns, sheet.height / self.rows
        for x1, y1, x2, y2 in self.cross_lines():
            ends = (x1 * across, y1 * down, x2 * across, y2 * down)
            draw.line(ends, fill="#d33", width=max(1, int(across / 20)))
        return sheet

    def figure_svg(self, caption: str) -> str:
        """The same as SVG text: the pixels embedded, everything else as lines and letters."""
        width = 1200
        height = round(width * self.image().height / self.image().width)
        lines = _wrapped(caption, 170)
        ends = ["  to  ".join(self.bar_ends())] if self.palette_name else []
        whole = height + 60 + 16 * len(lines)
        size = f'width="{width}" height="{height}"'
        parts = [
            (
                f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{whole}" '
                'font-family="sans-serif" font-size="12">'
            ),
            f'<image href="{self.data_url}" {size} style="image-rendering:pixelated"/>',
            *self._svg_crosses(width / self.columns, height / self.rows),
        ]
        for number, colour in enumerate(self.bar_colours()):
            corner = f'x="{12 * number}" y="{height + 10}"'
            parts.append(f'<rect {corner} width="12" height="10" fill="{colour}"/>')
        for number, line in enumerate(ends + lines):
            y = height + 34 + 16 * number
            parts.append(f'<text x="0" y="{y}">{html.escape(line)}</text>')
        return "\n".join([*parts, "</svg>"])

    def _svg_crosses(self, across: float, down: float) -> list[str]:
        """As lines of SVG, where a tile is so wide and so high."""
        return [
            f'<line x1="{x1 * across:.1f}" y1="{y1 * down:.1f}" x2="{x2 * across:.1f}" '
            f'y2="{y2 * down:.1f}" stroke="#d33" stroke-width="1.5"/>'
            for x1, y1, x2, y2 in self.cross_lines()
        ]


def _wrapped(text: str, width: int) -> list[str]:
    import textwrap

    # XML takes no control characters
    printable = "".join(letter if letter.isprintable() else " " for letter in text)
    return textwrap.wrap(printable, max(20, width))
