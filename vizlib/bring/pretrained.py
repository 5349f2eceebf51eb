"""torchvision's pretrained classifiers by name: their weights from its cache or, when somebody asks
for them, from its makers' site, with ImageNet's class names and the preparation they expect.

A name is that of the network, "resnet50" or "torchvision/resnet50", for what torchvision calls its
best weights, or with those asked for: "resnet50@IMAGENET1K_V1". Weights are read by
vizlib.run.weights alone, and only where the digest in a file's name is the file's.
"""

from __future__ import annotations

import hashlib
import http.client
import re
import tempfile
import urllib.request
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

from vizlib.errors import UserError, unknown
from vizlib.files import open_regular

if TYPE_CHECKING:
    from torch import Tensor

PREFIX = "torchvision/"
CHUNK = 1 << 18
SECONDS = 20  # without a word from the other side
_DIGEST = re.compile(r"-([0-9a-f]{8,64})\.")  # in the names that PyTorch's makers give to files
# of networks that are opened without the heads that only their training had
_AUXILIARY = ("aux1.", "aux2.", "AuxLogits.")


@dataclass(frozen=True)
class Preparation:
    """What torchvision makes of a picture for these weights: its shorter side `resize` pixels long,
    the middle `crop` x `crop` of that, then (pixel - mean) / std by channel, of pixels in [0, 1].
    """

    crop: int
    resize: int
    mean: tuple[float, ...]
    std: tuple[float, ...]

    @property
    def words(self) -> str:
        """How that differs from what a picture is given here, in a sentence."""
        size = f"{self.crop} × {self.crop}"
        if self.resize == self.crop:
            return f"It gets the middle square of a picture at {size}, as torchvision tests it."
        return (
            f"torchvision tests it on the middle {size} of a picture whose shorter side is "
            f"{self.resize}; here it gets the whole middle square at {size}: a little more of the "
            "picture, and smaller."
        )


@dataclass(frozen=True)
class Arranged:
    """What a run of pretrained weights is made of. tensors: by the names of `architecture`. origin:
    as a configuration has it.
    """

    architecture: str
    arguments: dict[str, Any]
    class_names: list[str]
    input_size: tuple[int, int, int]
    preparation: Preparation
    tensors: dict[str, Tensor]
    origin: dict[str, str]


def names() -> list[str]:
    """All networks that torchvision has weights of, without "torchvision/"."""
    from torchvision import models

    return models.list_models(module=models)


def entries(name: str) -> list[str]:
    """What torchvision calls the weights it has of a network, the best first. UserError for a
    network of none.
    """
    possible = _possible(_parted(name)[0])
    best = possible.DEFAULT.name
    others = [each.name for each in possible if each.name != best and each.meta.get("categories")]
    return [best, *others]


def class_names(name: str) -> list[str]:
    """ImageNet's, as the weights have them. UserError for a name of none."""
    return list(weights_of(name).meta["categories"])


def preparation(name: str) -> Preparation:
    """The Preparation that the weights expect. UserError for a name of none."""
    from vizlib.architectures.elsewhere import torchvision

    transforms = weights_of(name).transforms()
    network = _parted(name)[0]
    mean, std = tuple(transforms.mean), tuple(transforms.std)
    if network in torchvision.WITH_OTHER_NORMALISATION:
        mean, std = torchvision.normalisation(network)
    return Preparation(transforms.crop_size[0], transforms.resize_size[0], mean, std)


def weights_of(name: str) -> Any:
    """torchvision's entry of these weights: url, transforms, meta. UserError for a name of none."""
    network, entry = _parted(name)
    possible = _possible(network)
    if not entry:
        return possible.DEFAULT
    if entry not in entries(network):
        raise unknown(f"weights of {network}", entry, entries(network))
    return possible[entry]


def download_bytes(name: str) -> int:
    """How large the file is, about. UserError for a name of none."""
    return round(weights_of(name).meta["_file_size"] * (1 << 20))


def cached_file(name: str) -> Path:
    """Where torchvision keeps the file, and this project with it, whether it is there or not."""
    import torch

    return Path(torch.hub.get_dir()) / "checkpoints" / weights_of(name).url.rpartition("/")[2]


def is_cached(name: str) -> bool:
    """Whether the file is there, so that nothing needs to be downloaded."""
    return cached_file(name).is_file()


def fetch(name: str, say: Callable[[float], object] = lambda share: None) -> Path:
    """Download the weights of a name into torchvision's cache; say(share) tells the progress in
    [0, 1], and may raise to cancel. Returns the file.

    It appears whole or not at all. UserError where its digest is not the one in its name, it is
    larger than can be opened, or it cannot be had.
    """
    url, path = weights_of(name).url, cached_file(name)
    _refuse_too_large(name)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        # of its own, since two may download at once
        handle, unfinished = tempfile.mkstemp(suffix=".tmp", dir=path.parent)
        try:
            with open(handle, "wb") as target:
                digest = _copy(url, target, download_bytes(name), say)
            _check_digest(path.name, digest, "The download was damaged on its way: try again.")
            Path(unfinished).replace(path)
        finally:
            Path(unfinished).unlink(missing_ok=True)
    except (OSError, http.client.HTTPException) as error:
        raise UserError(
            f"The weights of {name} could not be downloaded ({_reason(error)}). Without a network, "
            f"put {url} into {path.parent}."
        ) from None
    return path


def arrange(name: str) -> Arranged:
    """All that a run of these weights is made of, from the cache. UserError where they are not
    there, or damaged.
    """
    from vizlib.architectures.elsewhere import torchvision
    from vizlib.run.weights import load_weights

    data, digest = _read(name)
    tensors = load_weights(data)
    renamed = torchvision.renamed_old_keys(tensors)
    tensors = {
        renamed.get(key, key): tensor
        for key, tensor in tensors.items()
        if not key.startswith(_AUXILIARY)
    }
    network, prepared = _parted(name)[0], preparation(name)
    side, labels = prepared.crop, class_names(name)
    return Arranged(
        PREFIX + network,
        {"num_classes": len(labels)} | _sized(network, side),
        labels,
        (3, side, side),
        prepared,
        tensors,
        {"file": cached_file(name).name, "sha256": digest, "url": weights_of(name).url},
    )


def _sized(network: str, side: int) -> dict[str, int]:
    """The argument of a network whose weights are made for pictures of one size."""
    from vizlib.architectures import elsewhere

    takes = elsewhere.get(PREFIX + network).arguments
    return {"image_size": side} if "image_size" in takes else {}


def _read(name: str) -> tuple[bytes, str]:
    """The bytes of the file in the cache, and their digest."""
    path = cached_file(name)
    if not path.is_file():
        raise UserError(
            f"The weights of {name} are not on this machine: they would be {path}. Downloading "
            f"them takes {download_bytes(name) / 1e6:,.0f} MB."
        )
    _refuse_too_large(name)
    try:
        with open_regular(path) as file:
            data = file.read()
    except OSError as error:
        raise UserError(f"The weights {path} cannot be read: {error.strerror}.") from None
    digest = hashlib.sha256(data).hexdigest()
    _check_digest(path.name, digest, f"Remove {path} and download it again.")
    return data, digest


def _refuse_too_large(name: str) -> None:
    from vizlib.run.zip_directories import MAX_BYTES

    if download_bytes(name) > MAX_BYTES:
        raise UserError(
            f"The weights of {name} are {download_bytes(name) / 1e9:.1f} GB; up to "
            f"{MAX_BYTES / 1e9:.0f} GB can be opened."
        )


def _check_digest(file_name: str, digest: str, advice: str) -> None:
    """UserError unless a file's SHA-256 begins as its name says."""
    stated = _DIGEST.search(file_name)
    if stated is None or not digest.startswith(stated[1]):
        raise UserError(f"The file {file_name} is not what its name says it is. {advice}")


def _copy(url: str, target: BinaryIO, expected: int, say: Callable[[float], object]) -> str:
    """Write what lies at an address into an open file; returns its SHA-256. UserError for more than
    a tenth over what is expected.
    """
    digest, done = hashlib.sha256(), 0
    with urllib.request.urlopen(url, timeout=SECONDS) as source:
        while block := source.read(CHUNK):
            done += len(block)
            if done > 1.1 * expected + CHUNK:
                raise UserError(f"What lies at {url} is larger than it should be: not taken.")
            target.write(block)
            digest.update(block)
            say(min(1.0, done / max(expected, 1)))
    return digest.hexdigest()


def _reason(error: Exception) -> str:
    """What went wrong, in a few words of the system's."""
    reason = getattr(error, "reason", None) or getattr(error, "strerror", None)
    reason = reason or type(error).__name__
    return str(getattr(reason, "strerror", None) or reason)[:200]


def _parted(name: str) -> tuple[str, str]:
    """(network, what its weights are called) of a name; the second may be empty."""
    network, _, entry = name.removeprefix(PREFIX).partition("@")
    return network, entry


def _possible(network: str) -> Any:
    """torchvision's enumeration of the weights it has of a network."""
    from torchvision import models

    if network not in names():
        raise unknown("pretrained network of torchvision", network, names())
    return models.get_model_weights(network)
