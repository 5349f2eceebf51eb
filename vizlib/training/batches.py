"""Batches cut from one uint8 tensor on the device: no file, no PIL, no worker between two steps."""

import torch
import torch.nn.functional as F

PADDING = 4


class Batches:
    """Shuffled, augmented, normalised batches of a training set.

    images: uint8 tensor (N, C, H, W); labels: int64 (N,); both already on the device. mean, std: by channel, in [0, 1].
    Iterating gives (float images (B, C, H, W) in channels-last order, labels (B,)) for one epoch, in batches of at most `batch_size`.
    """

    def __init__(self, images, labels, mean, std, *, batch_size, augment, generator):
        self.labels, self.batch_size, self.augment, self.generator = labels, batch_size, augment, generator
        self.height, self.width = images.shape[2:]
        self.mean, self.scale = (torch.tensor(values, device=images.device).mul(255).view(1, -1, 1, 1) for values in (mean, std))
        padded = F.pad(images, [PADDING] * 4) if augment else images
        # Every crop of every image as a view: one fancy index then makes a whole batch (PyTorch's unfold copies nothing).
        self.crops = padded.unfold(2, self.height, 1).unfold(3, self.width, 1)

    def __len__(self):
        return (len(self.labels) + self.batch_size - 1) // self.batch_size

    def __iter__(self):
        device = self.labels.device
        order = torch.randperm(len(self.labels), generator=self.generator, device=device)
        for rows in order.tensor_split(len(self)):  # of equal size but for one image: a last batch of one has no statistics to normalise by
            offsets = torch.zeros(2, len(rows), dtype=torch.int64, device=device)
            if self.augment:
                offsets = torch.randint(2 * PADDING + 1, (2, len(rows)), generator=self.generator, device=device)
            images = self.crops[rows, :, offsets[0], offsets[1]]
            if self.augment:
                flipped = torch.rand(len(rows), 1, 1, 1, generator=self.generator, device=device) < 0.5
                images = torch.where(flipped, images.flip(3), images)
            images = (images.float() - self.mean) / self.scale
            yield images.contiguous(memory_format=torch.channels_last), self.labels[rows]
