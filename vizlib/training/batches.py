"""Batches made on the device: crops, mirror images and squares cut out, of a whole batch at a time.

A data set lies as one uint8 tensor on the device: no file, no PIL, no worker between two steps. One
too big for that streams, decoded by worker processes; all else is the same.

Everything random is drawn from the seed and the number of the epoch or step, so a training can go
on from any step as if it had never ended, and several processes that share a batch draw the same.
"""

from functools import lru_cache

import numpy as np
import torch
import torch.nn.functional as F

from vizlib.errors import UserError
from vizlib.images import fit

CHUNK = 4096


class InMemory:
    """Every crop of every picture as a view of one tensor: one fancy index then makes a whole batch
    (`unfold` copies nothing).
    """

    def __init__(self, images, border, reflect):
        self._windows = windows(images, border, reflect)

    def windows(self, orders):
        """For each tensor of rows in `orders`: (windows, which of them each row's are)."""
        for rows in orders:
            yield self._windows, rows


class Streamed:
    """The same from files, read and fitted to the network's size by worker processes ahead of
    time.
    """

    def __init__(self, split, image_size, device, border, reflect, *, workers):
        self._pictures, self._device, self._border, self._reflect, self._workers = (
            FittedPictures(split, image_size),
            device,
            border,
            reflect,
            workers,
        )

    def windows(self, orders):
        orders = list(orders)
        loader = torch.utils.data.DataLoader(
            self._pictures,
            batch_sampler=[rows.tolist() for rows in orders],
            num_workers=self._workers,
            collate_fn=_stacked,
            pin_memory=torch.device(self._device).type == "cuda",
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

    def __init__(self, split, image_size):
        self.split, self.image_size = split, image_size

    def __len__(self):
        return len(self.split)

    def __getitem__(self, row):
        try:
            return torch.from_numpy(
                fit(self.split.pictures[row], self.image_size).transpose(2, 0, 1).copy()
            )
        except (
            UserError
        ) as error:  # an exception would come out of a worker with its whole trace as text
            return str(error)


def _stacked(pictures):
    """(uint8 images (B, C, H, W), no problem), or (None, the first problem)."""
    problem = next((one for one in pictures if isinstance(one, str)), "")
    return (None, problem) if problem else (torch.stack(pictures), "")


def resized(images, size):
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
def _weights(before, after):
    """(after, before): how much each pixel of a row counts for those of the row resized. Pillow's
    own, by resizing rows with one bright pixel each.
    """
    from PIL import Image

    rows = Image.fromarray(np.eye(before, dtype=np.float32)).resize(
        (after, before), Image.Resampling.LANCZOS
    )
    return torch.from_numpy(np.array(rows).T.copy())


def normalised(split, count, image_size, mean, std):
    """Some pictures of a split, from first to last, as the network gets them, float32 (N, C, H,
    W).
    """
    rows = np.linspace(0, len(split) - 1, min(count, len(split))).astype(int)
    images = torch.from_numpy(split.take(rows).images(image_size)).float() / 255
    return (images - torch.tensor(mean).view(1, -1, 1, 1)) / torch.tensor(std).view(1, -1, 1, 1)


def windows(images, border, reflect):
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
        source,
        labels,
        num_classes,
        recipe,
        *,
        mean,
        std,
        mirrors,
        border,
        seed,
        rank=0,
        ranks=1,
    ):
        self.source, self.labels, self.recipe, self.border, self.seed, self.rank, self.ranks = (
            source,
            labels,
            recipe,
            border,
            seed,
            rank,
            ranks,
        )
        self.flips = recipe.augment and mirrors
        self.mean, self.scale = (
            torch.tensor(values, device=labels.device).mul(255).view(1, -1, 1, 1)
            for values in (mean, std)
        )
        counts = torch.bincount(labels, minlength=num_classes)
        self.is_rare = counts * num_classes < len(labels)
        self.chances = (1 / counts.clamp(min=1).float())[labels].cpu() if recipe.balanced else None
        self.side = torch.randint(
            2, labels.shape, generator=torch.Generator().manual_seed(mixed(seed, 0, 3))
        ).to(labels.device)
        self._generator = torch.Generator(labels.device)

    def __len__(self):
        return (len(self.labels) + self.recipe.batch_size - 1) // self.recipe.batch_size

    def epoch(self, number, skip=0, size=None):
        """The batches of an epoch, counted from 0, without the first `skip`.

        size: a function that says, at each batch, which (height, width) it gets; by default the
        source's. Gives this process's float images (B, C, H, W) in channels-last order, their
        labels (B,), and the labels of the whole batch.
        """
        # Of equal size but for one image: a last batch of one has no statistics to normalise by.
        orders = self._order(number).tensor_split(len(self))[skip:]
        own = [rows[self.rank :: self.ranks] for rows in orders]
        for step, (rows, (crops, at)) in enumerate(
            zip(orders, self.source.windows(own), strict=True), number * len(self) + skip
        ):
            yield (
                self._augmented(crops, at, rows, number, step, size() if size else None),
                self.labels[rows[self.rank :: self.ranks]],
                self.labels[rows],
            )

    def _order(self, number):
        generator = torch.Generator().manual_seed(mixed(self.seed, number, 1))
        if self.chances is None:
            order = torch.randperm(len(self.labels), generator=generator)
        else:
            order = torch.multinomial(
                self.chances, len(self.labels), replacement=True, generator=generator
            )
        return order.to(self.labels.device)

    def _augmented(self, crops, at, rows, number, step, size):
        self._generator.manual_seed(mixed(self.seed, step, 2))
        device, own = self.labels.device, slice(self.rank, None, self.ranks)
        changes = torch.ones(len(at), dtype=torch.bool, device=device)
        if self.recipe.augment_only_rare:
            changes = self.is_rare[self.labels[rows[own]]]
        offsets = torch.randint(
            2 * self.border + 1, (2, len(rows)), generator=self._generator, device=device
        )[:, own]
        offsets = torch.where(changes, offsets, self.border)
        images = crops[at, :, offsets[0], offsets[1]]
        if self.flips:
            # Half of the pictures in even epochs and the other half in odd ones: each is seen both
            # ways (Jordan 2024, arXiv 2404.00498).
            flipped = changes & ((self.side[rows[own]] + number) % 2 == 1)
            images = torch.where(flipped.view(-1, 1, 1, 1), images.flip(3), images)
        images = (
            images.float() if size in (None, tuple(images.shape[2:])) else resized(images, size)
        )
        images = (images - self.mean) / self.scale
        if self.recipe.cutout:
            # zero is the mean colour
            images = images * ~(self._squares(images, len(rows), own) & changes.view(-1, 1, 1, 1))
        return images.contiguous(memory_format=torch.channels_last)

    def _squares(self, images, count, own):
        """Where each picture is covered: bool (B, 1, H, W), a square whose centre may lie anywhere
        (DeVries and Taylor 2017, arXiv 1708.04552).
        """
        inside = []
        for axis, size in ((2, images.shape[2]), (3, images.shape[3])):
            centres = torch.rand(count, generator=self._generator, device=images.device)[own] * size
            places = torch.arange(size, device=images.device) + 0.5
            shape = [-1, 1, 1, 1]
            shape[axis] = size
            inside.append(
                ((places - centres[:, None]).abs() <= self.recipe.cutout * size / 2).view(shape)
            )
        return inside[0] & inside[1]


def mixed(seed, number, purpose):
    """One number from three, for a generator; neighbours give unlike streams, as torch's generators
    mix what they are seeded with.
    """
    return (seed * 1_000_003 + number) * 8 + purpose
