"""Batches made on the device: crops, mirror images and squares cut out, of a whole batch at a time.

A data set lies as one uint8 tensor on the device: no file, no PIL, no worker between two steps. One
too big for that streams, decoded by worker processes; all else is the same.

Everything random is drawn from the seed and the number of the epoch or step, so a training can go
on from any step as if it had never ended, and several processes that share a batch draw the same.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import lru_cache
from typing import Protocol

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from vizlib.datasets import Split
from vizlib.errors import UserError
from vizlib.training.devices import pins_memory
from vizlib.training.recipes import Recipe

CHUNK = 4096


class Source(Protocol):
    """Where the pictures of a batch come from."""

    def windows(self, orders: Iterable[Tensor]) -> Iterator[tuple[Tensor, Tensor]]:
        """For each tensor of image numbers in `orders`: (windows, which of them each picture's
        are).
        """
        ...


class InMemory:
    """Every crop of every picture as a view of one tensor: one fancy index then makes a whole batch
    (`unfold` copies nothing).
    """

    def __init__(self, images: Tensor, border: int, reflect: bool) -> None:
        self._windows = windows(images, border, reflect)

    def windows(self, orders: Iterable[Tensor]) -> Iterator[tuple[Tensor, Tensor]]:
        for image_numbers in orders:
            yield self._windows, image_numbers


class Streamed:
    """The same from files, read and fitted to the network's size by worker processes ahead of
    time.
    """

    def __init__(
        self,
        split: Split,
        image_size: Sequence[int],
        device: torch.device | str,
        border: int,
        reflect: bool,
        *,
        workers: int,
    ) -> None:
        self._pictures = FittedPictures(split, image_size)
        self._device = device
        self._border = border
        self._reflect = reflect
        self._workers = workers

    def windows(self, orders: Iterable[Tensor]) -> Iterator[tuple[Tensor, Tensor]]:
        orders = list(orders)
        loader = torch.utils.data.DataLoader(
            self._pictures,
            batch_sampler=[image_numbers.tolist() for image_numbers in orders],
            num_workers=self._workers,
            collate_fn=_stacked,
            pin_memory=pins_memory(torch.device(self._device)),
        )
        for images, problem in loader:
            if problem:
                raise UserError(problem)
            yield (
                windows(images.to(self._device, non_blocking=True), self._border, self._reflect),
                torch.arange(len(images), device=self._device),
            )


class FittedPictures(torch.utils.data.Dataset):
    """The pictures of a split as the network gets them before normalisation: uint8 (C, H, W), or
    the sentence why one cannot be read.
    """

    def __init__(self, split: Split, image_size: Sequence[int]) -> None:
        self.split = split
        self.image_size = image_size

    def __len__(self) -> int:
        return len(self.split)

    def __getitem__(self, image_number: int) -> Tensor | str:
        try:
            picture = self.split.received(image_number, self.image_size)
        except UserError as error:
            # an exception would come out of a worker with its whole trace as text
            return str(error)
        return torch.from_numpy(picture.transpose(2, 0, 1).copy())


def _stacked(pictures: list[Tensor | str]) -> tuple[Tensor | None, str]:
    """(uint8 images (B, C, H, W), no problem), or (None, the first problem)."""
    problems = [picture for picture in pictures if isinstance(picture, str)]
    if problems:
        return None, problems[0]
    return torch.stack([picture for picture in pictures if isinstance(picture, Tensor)]), ""


def resized(images: Tensor, size: Sequence[int]) -> Tensor:
    """uint8 images (N, C, H, W) as whole floats (N, C, *size) in [0, 255]: what `images.fit` makes
    of each, but all at once, on any device.
    """
    # first the rows and then the columns, each rounded, as Pillow does it
    for axis, side in ((3, size[1]), (2, size[0])):
        weights = _weights(images.shape[axis], side).to(images.device)
        images = (
            (images.float().transpose(axis, 3) @ weights.T).transpose(axis, 3).round().clamp(0, 255)
        )
    return images


@lru_cache(maxsize=16)
def _weights(before: int, after: int) -> Tensor:
    """(after, before): how much each pixel of a row counts for those of the row resized. Pillow's
    own, by resizing rows with one bright pixel each.
    """
    from PIL import Image

    rows = Image.fromarray(np.eye(before, dtype=np.float32)).resize(
        (after, before), Image.Resampling.LANCZOS
    )
    return torch.from_numpy(np.array(rows).T.copy())


def normalised(
    split: Split,
    count: int,
    image_size: Sequence[int],
    mean: Sequence[float],
    std: Sequence[float],
) -> Tensor:
    """Some pictures of a split, from first to last, as the network gets them, float32 (N, C, H,
    W).
    """
    image_numbers = np.linspace(0, len(split) - 1, min(count, len(split))).astype(int)
    images = torch.from_numpy(split.take(image_numbers).images(image_size)).float() / 255
    return (images - torch.tensor(mean).view(1, -1, 1, 1)) / torch.tensor(std).view(1, -1, 1, 1)


def border_of(recipe: Recipe, sides: Sequence[int]) -> int:
    """How many pixels a crop may reach beyond a picture whose sides are these."""
    return min(sides) // recipe.crop if recipe.augment else 0


def windows(images: Tensor, border: int, reflect: bool) -> Tensor:
    """A view (N, C, 2 border + 1, 2 border + 1, H, W) of all crops of images (N, C, H, W) with a
    border around, black or reflected.
    """
    height, width = images.shape[2:]
    # reflection takes no bytes: a chunk at a time, so that the floats need little memory
    if border and reflect:
        padded = torch.cat(
            [
                F.pad(
                    chunk.half() if chunk.is_cuda else chunk.float(), [border] * 4, mode="reflect"
                ).to(torch.uint8)
                for chunk in images.split(CHUNK)
            ]
        )
    else:
        padded = F.pad(images, [border] * 4)
    return padded.unfold(2, height, 1).unfold(3, width, 1)


class Batches:
    """Shuffled, augmented, normalised batches of a training set, epoch after epoch.

    source: InMemory or Streamed. labels: int64 (N,) on the device. mean, std: by channel, in [0,
    1]. mirrors: whether mirror images are of the same class. rank, ranks: this process takes every
    `ranks`-th picture of each batch, from `rank` on.
    """

    def __init__(
        self,
        source: Source,
        labels: Tensor,
        num_classes: int,
        recipe: Recipe,
        *,
        mean: Sequence[float],
        std: Sequence[float],
        mirrors: bool,
        border: int,
        seed: int,
        rank: int = 0,
        ranks: int = 1,
    ) -> None:
        self.source = source
        self.labels = labels
        self.recipe = recipe
        self.border = border
        self.seed = seed
        self.rank = rank
        self.ranks = ranks
        self.flips = recipe.augment and mirrors
        self.mean = _levels(mean, labels.device)
        self.scale = _levels(std, labels.device)
        counts = torch.bincount(labels, minlength=num_classes)
        self.is_rare = counts * num_classes < len(labels)
        self.chances = (1 / counts.clamp(min=1).float())[labels].cpu() if recipe.balanced else None
        sides = torch.Generator().manual_seed(mixed(seed, 0, 3))
        self.side = torch.randint(2, labels.shape, generator=sides).to(labels.device)
        self._generator = torch.Generator(labels.device)

    def __len__(self) -> int:
        return (len(self.labels) + self.recipe.batch_size - 1) // self.recipe.batch_size

    def epoch(
        self, number: int, skip: int = 0, size: Callable[[], Sequence[int]] | None = None
    ) -> Iterator[tuple[Tensor, Tensor, Tensor]]:
        """The batches of an epoch, counted from 0, without the first `skip`.

        size: a function that says, at each batch, which (height, width) it gets; by default the
        source's. Gives this process's float images (B, C, H, W) in channels-last order, their
        labels (B,), and the labels of the whole batch.
        """
        # Of equal size but for one image: a last batch of one has no statistics to normalise by.
        orders = self._order(number).tensor_split(len(self))[skip:]
        own = [order[self.rank :: self.ranks] for order in orders]
        for step, (order, (crops, crop_numbers)) in enumerate(
            zip(orders, self.source.windows(own), strict=True), number * len(self) + skip
        ):
            images = self._cropped(crops, crop_numbers, order, number, step)
            yield (
                self._as_received(images, order, size() if size else None),
                self.labels[order[self.rank :: self.ranks]],
                self.labels[order],
            )

    def _order(self, number: int) -> Tensor:
        generator = torch.Generator().manual_seed(mixed(self.seed, number, 1))
        if self.chances is None:
            order = torch.randperm(len(self.labels), generator=generator)
        else:
            order = torch.multinomial(
                self.chances, len(self.labels), replacement=True, generator=generator
            )
        return order.to(self.labels.device)

    def _changes(self, order: Tensor) -> Tensor:
        """Which of this process's pictures are augmented: bool (B,)."""
        own = order[self.rank :: self.ranks]
        if self.recipe.augment_only_rare:
            return self.is_rare[self.labels[own]]
        return torch.ones(len(own), dtype=torch.bool, device=self.labels.device)

    def _cropped(
        self, crops: Tensor, crop_numbers: Tensor, order: Tensor, number: int, step: int
    ) -> Tensor:
        """uint8 (B, C, H, W): a random crop of each picture, of half of them its mirror image."""
        own = slice(self.rank, None, self.ranks)
        changes = self._changes(order)
        down, right = torch.where(changes, self._offsets(len(order), step)[:, own], self.border)
        images = crops[crop_numbers, :, down, right]
        if not self.flips:
            return images
        # Half of the pictures in even epochs and the other half in odd ones: each is seen both
        # ways (Jordan 2024, arXiv 2404.00498).
        flipped = changes & ((self.side[order[own]] + number) % 2 == 1)
        return torch.where(flipped.view(-1, 1, 1, 1), images.flip(3), images)

    def _offsets(self, count: int, step: int) -> Tensor:
        """How far each crop of a step lies down and right, (2, count). Drawn for the whole batch,
        so that all processes draw the same.
        """
        self._generator.manual_seed(mixed(self.seed, step, 2))
        return torch.randint(
            2 * self.border + 1, (2, count), generator=self._generator, device=self.labels.device
        )

    def _as_received(self, images: Tensor, order: Tensor, size: Sequence[int] | None) -> Tensor:
        """float32 (B, C, *size), normalised, with squares covered where the recipe says so."""
        if size in (None, tuple(images.shape[2:])):
            images = images.float()
        else:
            images = resized(images, size)
        images = (images - self.mean) / self.scale
        if self.recipe.cutout:
            own = slice(self.rank, None, self.ranks)
            covered = self._squares(images, len(order), own)
            # zero is the mean colour
            images = images * ~(covered & self._changes(order).view(-1, 1, 1, 1))
        return images.contiguous(memory_format=torch.channels_last)

    def _squares(self, images: Tensor, count: int, own: slice) -> Tensor:
        """Where each picture is covered: bool (B, 1, H, W), a square whose centre may lie anywhere
        (DeVries and Taylor 2017, arXiv 1708.04552).
        """
        inside = []
        for axis, size in ((2, images.shape[2]), (3, images.shape[3])):
            centres = torch.rand(count, generator=self._generator, device=images.device)[own] * size
            positions = torch.arange(size, device=images.device) + 0.5
            shape = [-1, 1, 1, 1]
            shape[axis] = size
            distances = (positions - centres[:, None]).abs()
            inside.append((distances <= self.recipe.cutout * size / 2).view(shape))
        return inside[0] & inside[1]


def _levels(values: Sequence[float], device: torch.device) -> Tensor:
    """Values in [0, 1] by channel as those of pixels, (1, C, 1, 1)."""
    return torch.tensor(values, device=device).mul(255).view(1, -1, 1, 1)


def mixed(seed: int, number: int, purpose: int) -> int:
    """One number from three, for a generator; neighbours give unlike streams, as torch's generators
    mix what they are seeded with.
    """
    return (seed * 1_000_003 + number) * 8 + purpose
