"""last.pt: all that a training needs to go on from where it was. Plain tensors and numbers, read
with PyTorch's weights-only reader.
"""

import io
from pathlib import Path
from typing import Any

import torch

from vizlib.errors import UserError
from vizlib.files import check_regular, write_whole
from vizlib.run.removal import STATE
from vizlib.training.recipes import Recipe

NAME = STATE
NEEDED = {"step", "seconds", "model", "optimisers", "since_evaluation"}


def save_state(folder: Path, **state: Any) -> None:
    """Write the state so that a reader finds the old file or the whole new one."""
    buffer = io.BytesIO()
    # into memory first: on a full disk PyTorch's own writer does not say what is wrong
    torch.save(state, buffer)
    write_whole(folder / NAME, buffer.getvalue())


def load_state(folder: Path) -> dict[str, Any] | None:
    """The saved state as a dictionary, on the CPU, or None where there is none. UserError if it is
    damaged.
    """
    path = folder / NAME
    if not path.exists():
        return None
    try:
        check_regular(path)
        state = torch.load(path, map_location="cpu", weights_only=True)
        if not state.keys() >= NEEDED:
            raise ValueError("not a state")
    except Exception as error:  # readers of damaged files raise anything
        raise UserError(
            f"The saved state of this run is damaged. Remove {NAME} from its folder to train "
            "it from the beginning."
        ) from error
    return state


def highest_rate(saved: dict[str, Any], recipe: Recipe) -> float:
    """The highest learning rate that a training was at when its state was saved."""
    if "highest_rate" in saved:
        return saved["highest_rate"]
    return saved.get("factor", 1.0) * recipe.learning_rate  # of an earlier version
