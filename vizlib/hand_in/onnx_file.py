"""A run's network as ONNX, the form that other programs run.

Exporting traces the network and patches PyTorch for the whole process while it does: it has a
process of its own, `python -m vizlib.hand_in.onnx_file RUN_FOLDER FILE`.
"""

from __future__ import annotations

import subprocess
import sys
import warnings
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

from vizlib.errors import UserError

if TYPE_CHECKING:
    from vizlib.run.folders import Run

NEEDED = ("onnx", "onnxscript")
MOST_SECONDS = 300


def lacking() -> str:
    """What must be installed before a network can be exported, in a sentence; empty for nothing."""
    if all(find_spec(name) for name in NEEDED):
        return ""
    return f"There is no model.onnx in it: that takes pip install {' '.join(NEEDED)}."


def export(run: Run, path: Path) -> None:
    """Write a run's network to a file. UserError where it cannot be exported.

    It takes "images", float32 (N, C, H, W), normalised, and gives "logits", (N, K), for any N.
    """
    if sentence := lacking():
        raise UserError(sentence)
    command = [
        sys.executable,
        "-m",
        "vizlib.hand_in.onnx_file",
        str(run.folder.resolve()),
        str(path),
    ]
    refused = UserError(f"There is no model.onnx in it: PyTorch cannot export {run.run_id!r}.")
    try:
        ended = subprocess.run(
            command,
            cwd=Path(__file__).resolve().parents[2],
            capture_output=True,
            timeout=MOST_SECONDS,
            check=False,
        )
    except subprocess.TimeoutExpired:
        raise refused from None
    if ended.returncode or not path.is_file():
        raise refused


def _export(run: Run, path: Path) -> None:
    import torch

    from vizlib import architectures
    from vizlib.run.weights import load_into, load_weights

    network = architectures.create(run.config.architecture, **run.config.arguments)
    load_into(network, load_weights(run.path("model.safetensors"))).eval()
    # two images: a batch of one would be taken for a constant
    images = torch.zeros(2, *run.input_size)
    warnings.filterwarnings("ignore")
    torch.onnx.export(
        network,
        (images,),
        path,
        input_names=["images"],
        output_names=["logits"],
        dynamic_shapes=({0: torch.export.Dim("images")},),
        dynamo=True,
        external_data=False,
        verbose=False,
    )


if __name__ == "__main__":
    from vizlib.run.folders import read_run

    _export(read_run(sys.argv[1]), Path(sys.argv[2]))
