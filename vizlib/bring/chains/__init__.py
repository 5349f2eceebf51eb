"""A plain chain of layers, rebuilt from the names and shapes of its tensors alone.

A file says which convolutions, norms and linear layers there are, and in which order; not where
pools stand, how convolutions stride and what surrounds a picture. But few placements end at the
number of values that the first linear layer takes, and where layers are numbered, as in
`features.0`, `features.3`, the numbers left out tell where layers without weights are. `propose`
finds the simplest that fit, the most usual first; each says what it assumes, and `rebuild` makes
another of other answers.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import replace
from itertools import islice

from vizlib.bring.chains.network import PADDINGS, REDUCTIONS, Assumed, Proposal, network
from vizlib.bring.chains.placements import ranked
from vizlib.bring.chains.tensors import Chain, Shapes, chain_of
from vizlib.errors import UserError

__all__ = [
    "PADDINGS",
    "REDUCTIONS",
    "Assumed",
    "Proposal",
    "convolutions",
    "propose",
    "rebuild",
]
MOST_PROPOSALS = 8
MOST_OF_A_PLACEMENT = 2


def propose(shapes: Shapes, input_size: tuple[int, int] | int | None = None) -> list[Proposal]:
    """At most eight networks that have exactly these tensors, the most usual first; none where the
    tensors are no chain. The last ones are the first with what no shape tells otherwise.

    shapes: by name, in the order of the file. input_size: the side of the pictures, or (height,
    width), where it is known.
    """
    chain = chain_of(shapes)
    if chain is None:
        return []
    size = (input_size, input_size) if isinstance(input_size, int) else input_size
    best = list(islice(_distinct(chain, ranked(chain, size)), MOST_PROPOSALS))
    variants = list(_variants(chain, best[0])) if best else []
    return [*best[: MOST_PROPOSALS - len(variants)], *variants]


def rebuild(shapes: Shapes, assumed: Assumed) -> Proposal:
    """The network of these tensors under other assumptions. UserError where they do not fit."""
    chain = chain_of(shapes)
    if chain is None:
        raise UserError("These tensors are no chain of convolutions, norms and linear layers.")
    proposal = network(chain, assumed)
    if not proposal.fits():
        raise UserError(f"No picture goes through these layers with {proposal.sentence}.")
    return proposal


def convolutions(shapes: Shapes) -> list[str]:
    """The names that `Assumed.reduced` may hold; none where the tensors are no chain."""
    chain = chain_of(shapes)
    return list(chain.rooms) if chain else []


def _variants(chain: Chain, best: Proposal) -> Iterator[Proposal]:
    """The best with what no shape tells otherwise."""
    assumed = best.assumed
    otherwise = []
    if chain.has_open_norm:
        otherwise.append(replace(assumed, relu_before_norm=True))
    if chain.has_open_depthwise:
        otherwise.append(replace(assumed, relu_after_depthwise=True))
    if assumed.reduced and assumed.by == "2 x 2 max pool":
        otherwise.append(replace(assumed, by="2 x 2 average pool"))
    return _distinct(chain, otherwise)


def _distinct(chain: Chain, candidates: Iterable[Assumed]) -> Iterator[Proposal]:
    """The proposals that differ in more than the size of their pictures, of those that a picture
    goes through; few of them with the same placement.
    """
    seen: list[list] = []
    placements: Counter[tuple] = Counter()
    for assumed in candidates:
        placement = assumed.by, assumed.reduced
        if placements[placement] == MOST_OF_A_PLACEMENT:
            continue
        try:
            proposal = network(chain, assumed)
        except UserError:
            continue
        if proposal.layers not in seen and proposal.fits():
            seen.append(proposal.layers)
            placements[placement] += 1
            yield proposal
