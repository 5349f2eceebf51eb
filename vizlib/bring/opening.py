"""What a file of weights can be opened as: networks that take all of it and answer differently, the
most likely first; else a plain chain of layers; else its weights alone.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from vizlib.bring import chains
from vizlib.bring.models import network
from vizlib.bring.recognition import ALONE, REBUILT, Candidate, recognise
from vizlib.errors import UserError
from vizlib.run.config import WEIGHTS_ALONE

if TYPE_CHECKING:
    import torch

SAME = 1e-4  # of the greatest logit: networks whose answers differ by less compute the same
Say = Callable[[float], None]


def ways_to_open(
    tensors: Mapping[str, torch.Tensor],
    *,
    ordered: bool = True,
    is_finite: bool = True,
    say: Say | None = None,
) -> list[Candidate]:
    """The Candidates, the most likely first; those at the end that are not `is_usable` are only
    named, as a file that nearly fits has most in common with them. At least one can be used.

    ordered: whether the tensors are in the order in which the network defines them. is_finite:
    whether all of their values are numbers; a network with others computes nothing, and only its
    weights can be seen. say: told the share of the work that is done, in [0, 1].
    """
    shapes = {name: tuple(tensor.shape) for name, tensor in tensors.items()}
    if not is_finite:
        return [_alone(shapes)]
    recognised = recognise(shapes, ordered=ordered, say=say)
    near = [candidate for candidate in recognised if not candidate.is_usable]
    usable = told_apart(recognised, tensors) or told_apart(_rebuilt(shapes), tensors)
    return [*(usable or [_alone(shapes)]), *near]


def told_apart(
    candidates: Sequence[Candidate], tensors: Mapping[str, torch.Tensor]
) -> list[Candidate]:
    """The usable candidates that answer otherwise than those before them, by two pictures of noise;
    each names those that answer as it does. Those that cannot take their own input are left out.
    """
    told: list[tuple[Candidate, torch.Tensor]] = []
    for candidate in candidates:
        answer = _answer(candidate, tensors) if candidate.is_usable else None
        if answer is None:
            continue
        alike = next((n for n, (_, other) in enumerate(told) if _are_same(answer, other)), None)
        if alike is None:
            told.append((candidate, answer))
        elif candidate.how != REBUILT:
            earlier, other = told[alike]
            aliases = (*earlier.aliases, candidate.base or candidate.architecture)
            told[alike] = replace(earlier, aliases=aliases), other
    return [candidate for candidate, _ in told]


def _are_same(answer: torch.Tensor, other: torch.Tensor) -> bool:
    if answer.shape != other.shape:
        return False
    scale = other.abs().max().clamp(min=1e-6)
    return bool((answer - other).abs().max() < SAME * scale)


def _answer(candidate: Candidate, tensors: Mapping[str, torch.Tensor]) -> torch.Tensor | None:
    """The logits for two pictures of noise; None where the network does not take them."""
    import torch

    from vizlib.inside.activations import forward

    noise = torch.rand(2, *candidate.input_size, generator=torch.Generator().manual_seed(0))
    try:
        return forward(network(candidate, tensors), noise)
    except (RuntimeError, ValueError, UserError):
        return None


def _rebuilt(shapes: Mapping[str, tuple[int, ...]]) -> list[Candidate]:
    """The chains of layers that the tensors may be."""
    return [as_chain(proposal, shapes) for proposal in chains.propose(dict(shapes))]


def as_chain(proposal: chains.Proposal, shapes: Mapping[str, tuple[int, ...]]) -> Candidate:
    """A proposal for tensors of these names as a Candidate."""
    return Candidate(
        "chain/net",
        {"layers": proposal.layers},
        proposal.input_size,
        proposal.num_classes,
        REBUILT,
        {name: name for name in shapes},
        assumed=proposal.sentence,
    )


def _alone(shapes: Mapping[str, tuple[int, ...]]) -> Candidate:
    """The weights alone; the size of a picture, which a run has to have, means nothing."""
    return Candidate(
        WEIGHTS_ALONE,
        {"shapes": {name: list(shape) for name, shape in shapes.items()}},
        (3, 32, 32),
        0,
        ALONE,
        {name: name for name in shapes},
    )
