"""A zip of what is handed in: the report, every array, the weights in forms that others read."""

from __future__ import annotations

import shutil
import tempfile
import time
import zipfile
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import IO, TYPE_CHECKING, BinaryIO

import numpy as np

from vizlib.errors import UserError
from vizlib.hand_in import onnx_file
from vizlib.hand_in.arrays import Entry, entries, file_name, of_both
from vizlib.hand_in.gathered import Gathered, Say

if TYPE_CHECKING:
    from vizlib.run.folders import Run

REPORT = "report.html"
README = """What is in this zip, made by Convscope
{runs}

report.html        everything to look at: double-click it, no network is needed
config.json        what was trained on what, and how; class names, mean and deviation
model.safetensors  the weights as Convscope keeps them: safetensors.torch.load_file(...){packed}
state_dict.pt      the same in float32: torch.load("state_dict.pt", weights_only=True); it fits
                   vizlib.architectures.create({name!r}, **arguments of config.json)
model.onnx         the network: onnxruntime.InferenceSession(...).run(None, {{"images": x}}), where
                   x is float32 (N, C, H, W), pixels / 255, less the mean, by the deviation
arrays/*.npy       each array: numpy.load("arrays/confusion.npy"); maps by layer in arrays/maps/
arrays/*.csv       the same as tables; curves.npy and steps.npy have the columns of steps.csv;
                   python -m vizlib check arrays/predictions.csv says the verdict
{remarks}"""
PACKED = """; of packed
                   ones zlib.decompress(NAME.deflated_int8) is int8 of NAME.shape_of_int8, which
                   counts by channel in steps of NAME.scale_of_int8"""


def write_zip(
    file: BinaryIO,
    gathered: Sequence[Gathered],
    report: str,
    *,
    with_onnx: bool = True,
    say: Say = lambda share: None,
) -> list[str]:
    """Write all of one run, or of two each into a folder of its own, to an open file; returns
    sentences on what is not in it.

    report: the page. with_onnx: whether the network is exported too, which takes some seconds.
    """
    remarks: list[str] = []
    with (
        zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive,
        tempfile.TemporaryDirectory(prefix="convscope-") as scratch,
    ):
        archive.writestr(REPORT, report)
        for number, of_run in enumerate(gathered):
            folder = f"{file_name(of_run.run.run_id)}/" if len(gathered) > 1 else ""
            _add_arrays(archive, folder, entries(of_run))
            archive.writestr(f"{folder}config.json", of_run.run.path("config.json").read_bytes())
            say((number + 0.4) / len(gathered))
            remarks += _add_weights(archive, folder, of_run.run, Path(scratch), with_onnx)
            say((number + 1) / len(gathered))
        if len(gathered) > 1:
            _add_arrays(archive, "", of_both(gathered[0], gathered[1]))
        archive.writestr("README.txt", _readme(gathered, remarks))
    return remarks


def _add_arrays(archive: zipfile.ZipFile, folder: str, arrays: Iterable[Entry]) -> None:
    for entry in arrays:
        name = f"{folder}arrays/{entry.name}"
        if entry.array is not None:
            with _member(archive, f"{name}.npy", zipfile.ZIP_DEFLATED) as member:
                np.lib.format.write_array(member, entry.array, allow_pickle=False)
        if entry.csv:
            archive.writestr(f"{name}.csv", entry.csv)


def _member(archive: zipfile.ZipFile, name: str, compression: int) -> IO[bytes]:
    """A file in the zip that can be written to piece by piece."""
    info = zipfile.ZipInfo(name, time.localtime()[:6])
    info.compress_type = compression
    return archive.open(info, "w", force_zip64=True)


def _add_weights(
    archive: zipfile.ZipFile, folder: str, run: Run, scratch: Path, with_onnx: bool
) -> list[str]:
    """The weights in each form that there is; sentences on the others."""
    if not run.has("model.safetensors"):
        return [run.missing_weights]
    _copy(archive, run.path("model.safetensors"), f"{folder}model.safetensors")
    state_dict, exported = scratch / "state_dict.pt", scratch / "model.onnx"
    try:
        _save_state_dict(run, state_dict)
        _move(archive, state_dict, f"{folder}state_dict.pt")
        if with_onnx:
            onnx_file.export(run, exported)
            _move(archive, exported, f"{folder}model.onnx")
    except UserError as error:
        return [str(error)]
    return [] if with_onnx else ["There is no model.onnx in it: it was not asked for."]


def _save_state_dict(run: Run, path: Path) -> None:
    """The tensors alone, as everybody saves them."""
    import torch

    from vizlib.run.weights import load_weights

    torch.save(dict(load_weights(run.path("model.safetensors"))), path)


def _move(archive: zipfile.ZipFile, path: Path, name: str) -> None:
    _copy(archive, path, name)
    path.unlink()


def _copy(archive: zipfile.ZipFile, path: Path, name: str) -> None:
    """A file piece by piece, as it is: weights are hardly made smaller."""
    with open(path, "rb") as source, _member(archive, name, zipfile.ZIP_STORED) as member:
        shutil.copyfileobj(source, member, 1 << 20)


def _readme(gathered: Sequence[Gathered], remarks: Sequence[str]) -> str:
    runs = [of_run.run for of_run in gathered]
    folders = "" if len(runs) == 1 else ", each in a folder of its own"
    names = " and ".join(f"{run.run_id} ({run.config.architecture})" for run in runs)
    return README.format(
        runs=f"of {names}{folders}",
        name=runs[0].config.architecture,
        packed=PACKED if any(run.packed for run in runs) else "",
        remarks="".join(f"{remark}\n" for remark in remarks),
    )
