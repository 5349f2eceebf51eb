"""A page of HTML as a browser reads it: its elements, its text, what its scripts hold."""

import base64
import json
from html.parser import HTMLParser

import numpy as np

VOID = {"meta", "link", "img", "br", "input"}


class Parsed(HTMLParser):
    """elements: (name, attributes) each; texts: what is to be read; by_section: the same by the id
    of the section it stands in; scripts: those that hold data, by id; programs: the others.
    """

    def __init__(self, page: str) -> None:
        super().__init__()
        self.elements, self.texts, self.by_section = [], [], {}
        self.scripts, self.programs, self.styles, self._open = {}, [], [], []
        self.feed(page)
        self.close()
        assert self._open == [], "every element is closed"

    def handle_starttag(self, tag, attrs):
        self.elements.append((tag, dict(attrs)))
        if tag not in VOID:
            self._open.append((tag, dict(attrs)))

    def handle_endtag(self, tag):
        assert self._open.pop()[0] == tag

    def handle_data(self, data):
        tag, attributes = self._open[-1] if self._open else ("", {})
        if tag == "script" and attributes.get("type") == "application/json":
            self.scripts[attributes["id"]] = json.loads(data)
        elif tag == "script":
            self.programs.append(data)
        elif tag == "style":
            self.styles.append(data)
        elif data.strip():
            self.texts.append(data)
            sections = [each["id"] for name, each in self._open if name == "section"]
            self.by_section.setdefault(sections[0] if sections else "", []).append(data)

    @property
    def text(self) -> str:
        return " ".join(self.texts)

    def section(self, name: str) -> str:
        return " ".join(self.by_section[name])

    def named(self, tag: str) -> list[dict]:
        return [attributes for name, attributes in self.elements if name == tag]

    def figures(self) -> list[dict]:
        """Those that Plotly draws, as they are drawn on a wide light page."""
        return [content["wide"] for content in self.scripts.values() if "wide" in content]


def numbers(values) -> np.ndarray:
    """An array as Plotly writes it: a list, or its bytes."""
    if isinstance(values, dict):
        array = np.frombuffer(base64.b64decode(values["bdata"]), np.dtype(values["dtype"]))
        shape = values.get("shape")
        return array.reshape([int(side) for side in shape.split(",")]) if shape else array
    return np.array(values, float)
