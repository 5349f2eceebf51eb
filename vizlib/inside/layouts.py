"""How the units of a layer lie in what it gives: as maps, as plain values, with the units last, as
tokens; so that all of them can be looked at as maps, and what cannot is said.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor

    from vizlib.inside.tracing import Seen

VALUES, MAPS, UNITS_LAST, TOKENS, NONE = "values", "maps", "units last", "tokens", "none"
FIRST, LAST = (-2, -1), (-3, -2)  # where a map's axes are, counted from the end
MOST_BEFORE = 5  # tokens that stand for no place: of the class, of a teacher, registers


@dataclass(frozen=True)
class Layout:
    """kind: one of those above. given: the shape of what the layer gives for one image. shape: as
    its units are looked at, (units, height, width), (units,), or () where they lie on no map.
    before: how many tokens stand before those of the map.
    """

    kind: str
    given: tuple[int, ...]
    shape: tuple[int, ...]
    before: int = 0

    def units_first(self, output: Tensor) -> Tensor:
        """A layer's output (N, *given) as (N, *shape)."""
        if self.kind == UNITS_LAST:
            return output.movedim(-1, 1)
        if self.kind == TOKENS:
            tokens = output[:, self.before :].transpose(1, 2)
            return tokens.reshape(len(output), *self.shape)
        return output

    @property
    def words(self) -> str:
        """What the layer gives where that is not plain maps or values, and what of it is shown, in
        a sentence; empty where it is.
        """
        given = " × ".join(map(str, self.given))
        if self.kind == UNITS_LAST:
            return f"It gives {given}, its {self.given[-1]} units last; they are shown as maps."
        if self.kind == NONE:
            return f"It gives {given} numbers, which lie on no map of the picture."
        if self.kind == TOKENS:
            tokens, units = self.given
            places = " × ".join(map(str, self.shape[1:]))
            others = {0: "", 1: " The first stands for no place and is left out."}.get(
                self.before, f" The first {self.before} stand for no place and are left out."
            )
            return (
                f"It gives {tokens} tokens of {units} numbers each. {places} of them stand for the "
                f"places of the picture, and so its units are shown as maps.{others}"
            )
        return ""


UNKNOWN = Layout(NONE, (), ())


@dataclass
class Layouts:
    """Finds the Layout of each layer of one pass, in order of execution."""

    _maps: list[Layout] = field(default_factory=list)  # whose axes are known, the latest last

    def of(self, given: tuple[int, ...], seen: Seen | None) -> Layout:
        """That of a layer that gives so much for one image, and whose values have seen that."""
        axes = seen.axes if seen else None
        if len(given) == 1:
            return Layout(VALUES, given, given)
        if len(given) == 2:
            return self._tokens(given)
        if len(given) != 3:
            return Layout(NONE, given, ())
        if axes in (FIRST, LAST):
            layout = _maps(given, units_last=axes == LAST)
            self._maps.append(layout)
            return layout
        if seen and seen.is_known and not self._maps:  # made of a vector, as in a decoder
            return _maps(given, units_last=False)
        return self._likeliest(given)

    def _tokens(self, given: tuple[int, ...]) -> Layout:
        """Tokens as many as the latest map had places, or a few more before them."""
        tokens, units = given
        height, width = self._maps[-1].shape[1:] if self._maps else (0, 0)
        before = tokens - height * width
        if height * width > 1 and 0 <= before <= MOST_BEFORE:
            return Layout(TOKENS, given, (units, height, width), before)
        return Layout(NONE, given, ())

    def _likeliest(self, given: tuple[int, ...]) -> Layout:
        """Of a layer behind an operation without a rule: as the latest that gave the same shape,
        or a map of the same size; where there is none but one place each, maps too.
        """
        for known in reversed(self._maps):
            if known.given == given:
                return known
        sizes = {known.shape[1:] for known in self._maps}
        if given[1:] in sizes or math.prod(given[1:]) == 1:
            return _maps(given, units_last=False)
        if given[:-1] in sizes:
            return _maps(given, units_last=True)
        return Layout(NONE, given, ())


def _maps(given: Sequence[int], *, units_last: bool) -> Layout:
    first, second, third = given
    if units_last:
        return Layout(UNITS_LAST, (first, second, third), (third, first, second))
    return Layout(MAPS, (first, second, third), (first, second, third))
