"""Many images through a network: what it gets of them, and what it answers. Torch comes in late."""

import numpy as np


def predict(model, images, mean, std, batch_size=250, *, mirrored=False):
    """Logits, float32 (N, K) in NumPy, of uint8 images, on the model's device, in evaluation mode.

    images: an array (N, C, H, W), or an iterable of such arrays. mirrored: the mean of the logits
    of a picture and its mirror image.
    """
    import torch

    device = next(model.parameters()).device
    was_training, parts = model.training, []
    model.eval()
    try:
        with torch.inference_mode():
            for batch in received(images, mean, std, batch_size, device):
                logits = model(batch).float()
                parts.append(
                    ((logits + model(batch.flip(3)).float()) / 2 if mirrored else logits).cpu()
                )
    finally:
        model.train(was_training)
    return torch.cat(parts).numpy()


def received(images, mean, std, batch_size, device="cpu"):
    """What a network gets, batch by batch: float32 (B, C, H, W) in channels-last order, of uint8
    images as `predict` takes them.
    """
    import torch

    mean, std = (torch.tensor(values, device=device).view(1, -1, 1, 1) for values in (mean, std))
    for chunk in [images] if isinstance(images, np.ndarray) else images:
        for batch in torch.from_numpy(chunk).split(batch_size):
            yield ((batch.to(device).float() / 255 - mean) / std).contiguous(
                memory_format=torch.channels_last
            )
