"""Batches cut from one uint8 tensor on the device: no file, no PIL, no worker between two steps."""

import torch
import torch.nn.functional as F

BORDER = 8  # crops reach an eighth of the side beyond the picture: 4 of 32 pixels, as is usual, and 1 of 8


class Batches:
    """Shuffled, augmented, normalised batches of a training set.

    images: uint8 tensor (N, C, H, W); labels: int64 (N,); both already on the device. mean, std: by channel, in [0, 1].
    augment: whether pictures are cropped from a black border around them and, where the data set allows (`mirrors`), flipped.
    Iterating gives (float images (B, C, H, W) in channels-last order, labels (B,)) for one epoch, in batches of at most `batch_size`.
    """

    def __init__(self, images, labels, mean, std, *, batch_size, augment, mirrors, generator):
        self.labels, self.batch_size, self.generator = labels, batch_size, generator
        self.height, self.width = images.shape[2:]
        self.border, self.flips = min(self.height, self.width) // BORDER if augment else 0, augment and mirrors
        self.mean, self.scale = (torch.tensor(values, device=images.device).mul(255).view(1, -1, 1, 1) for values in (mean, std))
        padded = F.pad(images, [self.border] * 4)
        # Every crop of every image as a view: one fancy index then makes a whole batch (PyTorch's unfold copies nothing).
        self.crops = padded.unfold(2, self.height, 1).unfold(3, self.width, 1)

    def __len__(self):
        return (len(self.labels) + self.batch_size - 1) // self.batch_size

    def __iter__(self):
        device = self.labels.device
        order = torch.randperm(len(self.labels), generator=self.generator, device=device)
        for rows in order.tensor_split(len(self)):  # of equal size but for one image: a last batch of one has no statistics to normalise by
            offsets = torch.randint(2 * self.border + 1, (2, len(rows)), generator=self.generator, device=device)
            images = self.crops[rows, :, offsets[0], offsets[1]]
            if self.flips:
                flipped = torch.rand(len(rows), 1, 1, 1, generator=self.generator, device=device) < 0.5
                images = torch.where(flipped, images.flip(3), images)
            images = (images.float() - self.mean) / self.scale
            yield images.contiguous(memory_format=torch.channels_last), self.labels[rows]
