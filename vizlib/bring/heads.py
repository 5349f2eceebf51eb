"""A known network with a head of somebody's own, told by its tensors: all but the last layer have
the names and shapes of the network, and what stands in the place of that is a chain of linear
layers.
"""

from __future__ import annotations

from typing import Any

from vizlib.bring import alignment, known
from vizlib.bring.alignment import Shapes
from vizlib.bring.chains.tensors import Item, chain_of

MOST_LAYERS = 8


def headed(name: str, shapes: Shapes) -> dict[str, Any] | None:
    """The arguments of "headed/net" with which it takes exactly these tensors, on the network of
    that name; None where it does not.
    """
    template = known.shapes_of(name)
    last = alignment.head(template)
    if last is None or len(template[last]) != 2:
        return None
    module = last.rpartition(".")[0]
    for at in (module, module.rpartition(".")[0]):
        layers = _layers(template, shapes, at) if at else None
        if layers:
            return {"base": name, "at": at, "layers": layers}
    return None


def _layers(template: Shapes, shapes: Shapes, at: str) -> list[dict[str, Any]] | None:
    """The layers that stand in the place of a module; None where the rest differs, or they do not
    follow from one another.
    """
    begins = f"{at}."
    body = {key: shape for key, shape in template.items() if not key.startswith(begins)}
    if not body or body != {k: s for k, s in shapes.items() if not k.startswith(begins)}:
        return None
    head = {k.removeprefix(begins): s for k, s in shapes.items() if k.startswith(begins)}
    chain = chain_of(head)
    if chain is None or not all(item.kind in ("linear", "norm") for item in chain.items):
        return None
    matrices = [shape for key, shape in template.items() if key.startswith(begins)]
    features = next(shape[1] for shape in matrices if len(shape) == 2)
    linear = [item for item in chain.items if item.kind == "linear"]
    if not 0 < len(linear) <= MOST_LAYERS or linear[0].shape[1] != features:
        return None
    return _in_order(chain.items)


def _in_order(items: tuple[Item, ...]) -> list[dict[str, Any]]:
    """The layers, with a ReLU behind each linear layer, and its norm, but the last."""
    layers: list[dict[str, Any]] = []
    for number, item in enumerate(items):
        if item.kind == "norm":
            channels = item.shape[0]
            layers.append(
                {"kind": "norm", "name": item.name, "channels": channels, "affine": item.has_bias}
            )
        else:
            rows, columns = item.shape
            bias = item.has_bias
            layers.append(
                {"kind": "linear", "name": item.name, "in": columns, "out": rows, "bias": bias}
            )
        follows = items[number + 1].kind if number + 1 < len(items) else ""
        if follows == "linear":
            layers.append({"kind": "relu", "name": f"relu_{number}"})
    return layers
