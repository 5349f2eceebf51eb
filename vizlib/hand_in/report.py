"""A run, or two, as one page of HTML: its figures move, it asks nothing of any network, opens from
a USB stick and prints well.
"""

from __future__ import annotations

import base64
import hashlib
import time
from collections.abc import Sequence
from functools import cache, partial
from pathlib import Path
from string import Template
from typing import TYPE_CHECKING, NamedTuple

from vizlib import __version__
from vizlib.hand_in import compared, sections
from vizlib.hand_in.figures import Figures
from vizlib.hand_in.markup import Html, joined, tag
from vizlib.hand_in.sections import beside

if TYPE_CHECKING:
    from vizlib.hand_in.gathered import Answers, Gathered

HERE = Path(__file__).parent


class Section(NamedTuple):
    """name: what a link calls it. see: what there is to see in it, in a sentence, which is left out
    where there is nothing but a sentence on why.
    """

    name: str
    title: str
    see: str
    content: object

    def html(self) -> Html:
        has_figure = not str(self.content).startswith(sections.LACKS)
        see = tag("p", self.see, cls="see") if has_figure else ""
        return tag("section", tag("h2", self.title), see, self.content, id=self.name)


def report(gathered: Sequence[Gathered]) -> str:
    """The page of one run, or of two beside one another, as HTML."""
    figures = Figures()
    parts = [*_about(gathered), *_inside(figures, gathered), *_learned(figures, gathered)]
    if len(gathered) > 1:
        parts += _between(figures, gathered[0], gathered[1])
    parts.append(_layers(figures, gathered))
    title = " and ".join(of_run.run.run_id for of_run in gathered)
    what = " · ".join(
        of_run.run.config.title or of_run.run.config.architecture for of_run in gathered
    )
    verdicts = [beside(gathered, sections.verdict_box)]
    if otherwise := compared.tested_otherwise(gathered):
        verdicts.append(tag("p", otherwise, cls="lacks"))
    return _page(title, what, verdicts, parts, figures)


def report_of_answers(name: str, answers: Answers, ordered: bool, remarks: Sequence[str]) -> str:
    """The page of answers alone: verdict, figures, matrix, mistakes.

    ordered: whether the classes are grades. remarks: on how they were understood.
    """
    figures = Figures()
    parts = [
        Section(
            "figures",
            "Key figures",
            "An accuracy says little alone: beside it, what the easiest answer would reach.",
            sections.metrics(answers, ordered),
        ),
        _matrix(sections.matrix(figures, answers.display)),
        _mistakes(sections.mistakes_of(answers.display)),
    ]
    head = [sections.verdict_of(answers.verdict), *(tag("p", text) for text in remarks)]
    return _page(name, "A table of answers", head, parts, figures)


def _about(gathered: Sequence[Gathered]) -> list[Section]:
    return [
        Section(
            "figures",
            "Key figures",
            "An accuracy says little alone: beside it, what the easiest answer would reach.",
            beside(gathered, sections.key_figures),
        ),
        Section(
            "what",
            "What it is",
            "All that it takes to build, train and test it again.",
            beside(gathered, sections.what_it_is),
        ),
    ]


def _inside(figures: Figures, gathered: Sequence[Gathered]) -> list[Section]:
    return [
        Section(
            "filters",
            "Filters of the first layer",
            "What the network looks for in the pixels themselves: edges, colours, textures. "
            "Filters that look like noise have learned little.",
            beside(gathered, partial(sections.filters, figures)),
        ),
        Section(
            "picture",
            "A picture, and the answer to it",
            "The picture as it came, what the network really gets, and the likeliest answers.",
            beside(gathered, sections.picture),
        ),
        Section(
            "maps",
            "Feature maps",
            "What each unit of a layer sees in this picture: early layers still look like it, "
            "late ones say where something is. Crossed: dead for this picture.",
            beside(gathered, partial(sections.maps, figures)),
        ),
    ]


def _learned(figures: Figures, gathered: Sequence[Gathered]) -> list[Section]:
    return [
        Section(
            "curves",
            "Training curves",
            "Dotted: training images, thin: the same step by step, smoothed; full: held-out "
            "validation images; star: the best checkpoint. Where the two part, it learns by heart.",
            sections.curves(figures, gathered),
        ),
        _matrix(beside(gathered, partial(sections.confusion, figures))),
        _mistakes(beside(gathered, sections.mistakes)),
    ]


def _matrix(content: object) -> Section:
    see = (
        "Rows are the truth, columns the answers: right ones on the diagonal in blue, wrong ones "
        "in orange. A full column means one answer for everything."
    )
    return Section("confusion", "Confusion matrix", see, content)


def _mistakes(content: object) -> Section:
    see = "Which classes are taken for which, the most frequent first."
    return Section("mistakes", "Commonest mistakes", see, content)


def _between(figures: Figures, first: Gathered, second: Gathered) -> list[Section]:
    return [
        Section(
            "difference",
            "The difference of the two",
            "Where one of the two answers so more often than the other.",
            compared.difference(figures, first, second),
        ),
        Section(
            "agreement",
            "Image by image",
            "Whether both get the same images right, and whether the difference may be chance.",
            compared.image_by_image(first, second),
        ),
    ]


def _layers(figures: Figures, gathered: Sequence[Gathered]) -> Section:
    see = (
        "Every layer in order, a block as one line, with its output for one picture, its cost, and "
        "how many input pixels one of its values sees."
    )
    content = beside(gathered, partial(sections.layers, figures), "below")
    return Section("layers", "Layers", see, content)


def _page(
    title: str, what: str, head: Sequence[object], parts: Sequence[Section], figures: Figures
) -> str:
    """A whole page. It may fetch nothing, and runs no script but its own two: that is in its
    policy, so that no name in it can change that.
    """
    plotly, script = _plotly(), _text("page.js")
    links = (tag("a", part.title, href=f"#{part.name}") for part in parts)
    made = f"Made by Convscope {__version__} on {time.strftime('%Y-%m-%d')}."
    body = [
        tag("h1", title),
        tag("p", what, cls="soft"),
        *head,
        tag("nav", *links),
        *(part.html() for part in parts),
        tag("footer", made),
    ]
    return Template(_text("page.html")).substitute(
        policy=(
            f"default-src 'none'; script-src {_digest(plotly)} {_digest(script)}; "
            "style-src 'unsafe-inline'; img-src data: blob:; base-uri 'none'; form-action 'none'"
        ),
        version=__version__,
        title=joined([title]),
        style=_text("page.css"),
        body=joined(body, "\n"),
        figures=figures.scripts(),
        plotly=plotly,
        script=script,
    )


def _text(name: str) -> str:
    return (HERE / name).read_text(encoding="utf-8")


@cache
def _plotly() -> str:
    """Plotly's script: there is no smaller one in its Python package."""
    from plotly.offline import get_plotlyjs

    return get_plotlyjs().replace("\r\n", "\n")


def _digest(script: str) -> str:
    """What tells this script from all others, as a policy names it."""
    digest = hashlib.sha256(script.encode()).digest()
    return f"'sha256-{base64.b64encode(digest).decode()}'"
