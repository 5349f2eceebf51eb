"""A file's bytes, as the kinds of logs look at them."""

from __future__ import annotations

import codecs
import json
import re
from collections.abc import Iterator
from functools import cached_property
from typing import Any

from vizlib.errors import UserError
from vizlib.files import legible

LONGEST_LINE = 1_000_000  # letters
MOST_LINES = 2_500_000
# of one JSON text, which is in memory as a whole before it is looked at
MOST_PARTS = 500_000  # lists and objects
MOST_ITEMS = 5_000_000
MOST_CONTROL = 8  # letters in its beginning that no text has
_LINE = re.compile(r"[^\r\n]+")
_CONTROL = re.compile(r"[\x00-\x08\x0e-\x1a\x1c-\x1f\x7f]")


class Content:
    """name: what the file is called, for sentences. data: its bytes."""

    def __init__(self, name: str, data: bytes) -> None:
        self.name, self.data = name, data

    @cached_property
    def text(self) -> str:
        """What it says, whatever its encoding; empty where it is no text."""
        try:
            text = self.data.decode(self._encoding)
        except UnicodeDecodeError:
            text = self.data.decode("latin-1")
        text = text.rstrip("\0")  # which a crash leaves at the end of a file
        return "" if len(_CONTROL.findall(text[:4096])) > MOST_CONTROL else text.replace("\0", "")

    @property
    def _encoding(self) -> str:
        """UTF-8, unless its beginning is that of a UTF-16, as PowerShell writes it."""
        if self.data.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
            return "utf-16"
        beginning = self.data[:4096]
        for first, encoding in ((1, "utf-16-le"), (0, "utf-16-be")):
            if any(beginning) and not any(beginning[first::2]):
                return encoding
        return "utf-8-sig"

    def lines(self) -> Iterator[str]:
        """Its lines that are not empty. UserError at one that no log has."""
        for number, match in enumerate(_LINE.finditer(self.text)):
            if number >= MOST_LINES:
                raise UserError(
                    f"{self.name} has more than {MOST_LINES:,} lines: too many to read."
                )
            if match.end() - match.start() > LONGEST_LINE:
                raise UserError(
                    f"{self.name} has a line of more than {LONGEST_LINE:,} letters: that is no log."
                )
            if not match[0].isspace():
                yield match[0]

    @cached_property
    def is_json_lines(self) -> bool:
        """Whether its first line is a JSON object, and more follow."""
        first = _LINE.search(self.text)
        if first is None or first.end() - first.start() > LONGEST_LINE:
            return False
        return isinstance(parsed(first[0]), dict) and bool(_LINE.search(self.text, first.end()))

    @cached_property
    def json(self) -> Any:
        """The whole as JSON, None where it is none. UserError where that would fill the memory."""
        if self.text.lstrip()[:1] not in ("{", "[") or self.is_json_lines:
            return None
        parts, items = self.text.count("{") + self.text.count("["), self.text.count(",")
        if parts > MOST_PARTS or items > MOST_ITEMS:
            raise UserError(
                f"{self.name} is JSON of {parts:,} lists and objects and {items:,} items: up to "
                f"{MOST_PARTS:,} and {MOST_ITEMS:,} can be read."
            )
        return parsed(self.text)


def parsed(text: str) -> Any:
    """A JSON text, None for what is none."""
    try:
        content = json.loads(text)
        return legible(content) if "\\u" in text else content
    except (ValueError, RecursionError):
        return None
