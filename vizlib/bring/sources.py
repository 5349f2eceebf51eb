"""Where a network from elsewhere comes from: a file of weights, torchvision by name, or somebody's
own code; each brings its tensors and the ways to open them.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Collection
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vizlib.bring.models import Settings
from vizlib.bring.opening import ways_to_open
from vizlib.bring.recognition import BY_NAME, Candidate

if TYPE_CHECKING:
    import torch

    from vizlib.run.checkpoints import Checkpoint

Say = Callable[[float], None]
MOST_NAMED = 3
NAMES_OF_CLASSES = ("class_names", "classes", "categories", "labels")


@dataclass(frozen=True)
class Brought:
    """A network that can be settled and added.

    name: of what it came from. candidates: as `ways_to_open` gives them. origin: what its run will
    say of that. class_names: where they are known. settings: all of them, where the source says
    so. remarks: sentences for whoever brings it. parts: the dictionaries of weights in its file,
    the one that was taken first.
    """

    name: str
    tensors: dict[str, torch.Tensor]
    candidates: list[Candidate]
    origin: dict[str, str]
    class_names: list[str] | None = None
    settings: Settings | None = None
    remarks: list[str] = field(default_factory=list)
    parts: tuple[str, ...] = ()


def from_file(
    source: Path | bytes, part: str | None = None, say: Say | None = None, name: str = ""
) -> Brought:
    """What a file of weights can be opened as. UserError where it holds none that can be read.

    source: a path, or the bytes of a file of a `name`. part: which of several dictionaries of
    weights. say: told the share of the work done, in [0, 1].
    """
    from vizlib.run.checkpoints import bytes_of, read_checkpoint

    say = say or (lambda share: None)
    data = bytes_of(source)
    checkpoint = read_checkpoint(data, lambda share: say(0.4 * share), part)
    candidates = ways_to_open(
        checkpoint.tensors,
        ordered=checkpoint.kind != "safetensors",
        is_finite=not checkpoint.non_finite,
        say=lambda share: say(0.4 + 0.5 * share),
    )
    name = source.name if isinstance(source, Path) else name
    origin = {"file": name[:200], "sha256": hashlib.sha256(data).hexdigest()}
    say(1)
    return Brought(
        name,
        checkpoint.tensors,
        candidates,
        origin,
        class_names_in(checkpoint.besides),
        remarks=remarks_on(checkpoint),
        parts=(checkpoint.wrapper, *checkpoint.has_several),
    )


def class_names_in(besides: dict[str, Any]) -> list[str] | None:
    """The names of classes that a file has beside its weights, in their order; None without any."""
    for key in NAMES_OF_CLASSES:
        if isinstance(besides.get(key), list) and besides[key]:
            return [str(name) for name in besides[key]]
    numbers = besides.get("class_to_idx")
    if isinstance(numbers, dict) and _are_all(numbers.values()):
        return [str(name) for name in sorted(numbers, key=numbers.__getitem__)]
    names = besides.get("idx_to_class")
    if isinstance(names, dict) and _are_all(names):
        return [str(names[number]) for number in sorted(names, key=int)]
    return None


def _are_all(numbers: Collection[Any]) -> bool:
    """Whether they number classes from 0, each once."""
    texts = sorted(map(str, numbers), key=lambda text: (len(text), text))
    return bool(texts) and texts == [str(number) for number in range(len(texts))]


def remarks_on(checkpoint: Checkpoint) -> list[str]:
    """What somebody who brings a file should know of how it was read."""
    remarks = [f"{checkpoint.kind}, {checkpoint.dtype or 'whole numbers'}."]
    if checkpoint.wrapper:
        remarks.append(f"The weights lay under {checkpoint.wrapper!r}.")
    if checkpoint.prefix:
        remarks.append(f"All names began with {checkpoint.prefix!r}, which was removed.")
    if checkpoint.left_out:
        remarks.append(
            f"{len(checkpoint.left_out):,} tensors of no layer were left out, as "
            f"{', '.join(map(repr, checkpoint.left_out[:MOST_NAMED]))}."
        )
    if checkpoint.has_several:
        others = ", ".join(map(repr, checkpoint.has_several[:MOST_NAMED]))
        remarks.append(f"The file holds other weights too: {others}.")
    if checkpoint.non_finite:
        remarks.append(
            f"{len(checkpoint.non_finite):,} tensors hold NaN or infinite values, as "
            f"{checkpoint.non_finite[0]!r}: that training failed, and only its weights can be "
            "seen. Take an earlier checkpoint to open it whole."
        )
    figures = [
        f"{name} {value:g}"
        for name, value in checkpoint.besides.items()
        if isinstance(value, (int, float)) and not isinstance(value, bool)
    ]
    if figures:
        remarks.append(f"The file says of itself: {', '.join(figures[:6])}.")
    return remarks


def from_torchvision(name: str, say: Say | None = None) -> Brought:
    """Torchvision's weights of a network, from this machine, or else fetched. UserError for a name
    of none, or where they cannot be had.
    """
    from vizlib.bring import pretrained

    say = say or (lambda share: None)
    if not pretrained.is_cached(name):
        pretrained.fetch(name, lambda share: say(0.9 * share))
    arranged = pretrained.arrange(name)
    candidate = Candidate(
        arranged.architecture,
        arranged.arguments,
        arranged.input_size,
        len(arranged.class_names),
        BY_NAME,
        {own: own for own in arranged.tensors},
    )
    prepared = arranged.preparation
    settings = Settings(
        arranged.class_names, arranged.input_size, list(prepared.mean), list(prepared.std)
    )
    say(1)
    return Brought(
        name.replace("/", "-"),
        arranged.tensors,
        [candidate],
        arranged.origin,
        arranged.class_names,
        settings,
        [prepared.words],
    )


def from_code(
    weights: Path, specification: str, arguments: dict[str, Any], side: int | None
) -> Brought:
    """A network of somebody's own class, "my_net.py:Net", whose code is run, once, here; of it only
    what it computes is kept. UserError, in a sentence, for anything that does not fit.
    """
    from vizlib.bring.own_code import of_class
    from vizlib.run.checkpoints import bytes_of, read_checkpoint

    data = bytes_of(weights)
    checkpoint = read_checkpoint(data)
    network = of_class(specification, arguments, checkpoint.tensors, side)
    remarks = [*remarks_on(checkpoint), network.note] if network.note else remarks_on(checkpoint)
    digest = hashlib.sha256(data).hexdigest()
    return Brought(
        weights.name,
        network.tensors,
        [network.candidate],
        {"file": weights.name[:200], "sha256": digest, "class": network.title},
        class_names_in(checkpoint.besides),
        remarks=remarks,
    )
