"""scikit-learn's handwritten digits: 1,797 grey pictures of 8x8, inside the package, no download."""

import numpy as np

from vizlib.datasets import Dataset, Split, channel_statistics, hold_out, register

TEST_IMAGES = 360


@register("digits", find=lambda root: ["digits"], missing="It comes with scikit-learn: pip install scikit-learn.")
def read_digits(name, root):
    from sklearn.datasets import load_digits

    source = load_digits()
    pictures = np.round(source.images * (255 / 16)).astype(np.uint8)[..., None]
    ids = np.array([f"digits/{row}" for row in range(len(pictures))])
    train, test = hold_out(Split(pictures, source.target.astype(np.int64), ids), TEST_IMAGES, seed=0)
    mean, std = channel_statistics(train.pictures.transpose(0, 3, 1, 2))
    return Dataset(
        name=name,
        class_names=[str(digit) for digit in range(10)],
        image_size=(1, 8, 8),
        mean=mean,
        std=std,
        splits={"train": train, "test": test},
        note=f"scikit-learn's digits, {TEST_IMAGES} of 1,797 held out by seed 0",
        mirrors=False,
    )
