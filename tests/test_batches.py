"""Batches: every picture once an epoch, each change of a picture against NumPy, and the same
batches from memory, from files, resumed and shared.
"""

import numpy as np
import pytest
import torch
from PIL import Image
from torchvision.transforms import Compose, Normalize, ToTensor

import vizlib.training.batches as feeding
from vizlib import datasets
from vizlib.datasets import Split, reading
from vizlib.datasets.picture_files import PictureFiles
from vizlib.errors import UserError
from vizlib.images import fit
from vizlib.training.batches import Batches, InMemory, Streamed, windows
from vizlib.training.recipes import Recipe

COUNT, SIDE, MEAN, STD = 23, 16, [0.4, 0.5, 0.6], [0.2, 0.25, 0.3]
PICTURES = np.random.default_rng(0).integers(1, 256, (COUNT, SIDE, SIDE, 3), dtype=np.uint8)
IMAGES = PICTURES.transpose(0, 3, 1, 2)  # the label of each picture tells which it is


def batches(
    *,
    labels=None,
    border=2,
    mirrors=True,
    seed=0,
    source=None,
    images=IMAGES,
    rank=0,
    ranks=1,
    **settings,
):
    chosen = Recipe("", "", **{"batch_size": 5, **settings})
    border = border if chosen.augment else 0
    source = source or InMemory(torch.from_numpy(images.copy()), border, chosen.reflect)
    labels = torch.arange(len(images)) if labels is None else torch.as_tensor(labels)
    spread = dict(
        mean=MEAN[: images.shape[1]],
        std=STD[: images.shape[1]],
        mirrors=mirrors,
        border=border,
        seed=seed,
    )
    return Batches(source, labels, int(labels.max()) + 1, chosen, **spread, rank=rank, ranks=ranks)


def drawn(loader, number, skip=0):
    """An epoch as (images, labels, sizes of its batches)."""
    parts = list(loader.epoch(number, skip))
    return (
        torch.cat([images for images, _, _ in parts]),
        torch.cat([labels for _, labels, _ in parts]),
        [len(labels) for _, labels, _ in parts],
    )


def pixels(images):
    """uint8 of normalised images."""
    return (
        (images * torch.tensor(STD).view(3, 1, 1) + torch.tensor(MEAN).view(3, 1, 1))
        .mul(255)
        .round()
        .to(torch.uint8)
        .numpy()
    )


def same(one, other):
    return len(one) == len(other) and all(
        torch.equal(a, b)
        for batch, again in zip(one, other, strict=True)
        for a, b in zip(batch, again, strict=True)
    )


# What a batch holds


@pytest.mark.parametrize("size", [(16, 16), (40, 40), (7, 7), (24, 9)])
def test_resized_batches_are_pictures_resized_by_pillow(size):
    """At any size asked for, in the middle of an epoch too; Pillow's whole numbers are one off here
    and there.
    """
    sizes = iter([(SIDE, SIDE), size, size, (SIDE, SIDE), size])
    shown = list(batches().epoch(0, size=lambda: next(sizes)))
    assert [tuple(images.shape[2:]) for images, _, _ in shown] == [
        (16, 16),
        size,
        size,
        (16, 16),
        size,
    ]
    for images, labels, _ in shown:
        for image, label in zip(pixels(images).transpose(0, 2, 3, 1), labels, strict=True):
            expected = np.asarray(
                Image.fromarray(PICTURES[label]).resize(
                    image.shape[1::-1], Image.Resampling.LANCZOS
                )
            )
            assert np.abs(image.astype(int) - expected).max() <= 1
            assert (image == expected).mean() > 0.98
            if size[0] == size[1]:
                assert np.array_equal(expected, fit(PICTURES[label], (3, *expected.shape[:2])))


def test_plain_batches_are_totensor_and_normalize():
    loader, transform = batches(), Compose([ToTensor(), Normalize(MEAN, STD)])
    images, labels, sizes = drawn(loader, 0)
    assert sorted(labels.tolist()) == list(range(COUNT)) != labels.tolist()
    assert sizes == [5, 5, 5, 4, 4]
    assert len(loader) == 5
    for image, label in zip(images, labels, strict=True):
        assert torch.allclose(image, transform(PICTURES[label]), atol=1e-5)
    for batch, own, whole in loader.epoch(1):
        assert batch.is_contiguous(memory_format=torch.channels_last)
        assert batch.dtype == torch.float32
        assert torch.equal(own, whole)


@pytest.mark.parametrize(
    ("batch_size", "sizes"),
    [(22, [12, 11]), (23, [23]), (1000, [23]), (1, [1] * 23), (11, [8, 8, 7])],
)
def test_batches_are_of_equal_size_but_for_one_picture(batch_size, sizes):
    """A last batch of one picture could not be normalised by its own statistics."""
    images, labels, found = drawn(batches(batch_size=batch_size), 0)
    assert found == sizes
    assert sorted(labels.tolist()) == list(range(COUNT))
    assert len(images) == COUNT


@pytest.mark.parametrize("reflect", [False, True])
def test_augmented_images_are_one_of_25_crops_flipped_every_other_epoch(reflect):
    loader, used, flips = (
        batches(augment=True, reflect=reflect),
        set(),
        {label: [] for label in range(COUNT)},
    )
    padded = np.pad(
        IMAGES, [(0, 0), (0, 0), (2, 2), (2, 2)], **dict(mode="reflect") if reflect else {}
    )
    for number in range(12):
        images, labels, _ = drawn(loader, number)
        assert sorted(labels.tolist()) == list(range(COUNT))
        for image, label in zip(pixels(images), labels.tolist(), strict=True):
            crops = [
                (y, x, flip)
                for y in range(5)
                for x in range(5)
                for flip in (1, -1)
                if np.array_equal(padded[label, :, y : y + SIDE, x : x + SIDE][:, :, ::flip], image)
            ]
            assert len(crops) == 1
            used.add(crops[0][:2])
            flips[label].append(crops[0][2])
    assert used == {(y, x) for y in range(5) for x in range(5)}
    assert all(seen in ([1, -1] * 6, [-1, 1] * 6) for seen in flips.values())
    assert 4 <= sum(seen[0] == 1 for seen in flips.values()) <= 19  # not all of them in one epoch


def test_no_mirror_images_where_they_are_of_another_class():
    images, labels, _ = drawn(batches(augment=True, mirrors=False, border=0), 0)
    assert np.array_equal(pixels(images), IMAGES[labels])


def test_half_of_the_pictures_are_flipped_whatever_the_seed():
    count, sides = 20_000, []
    for seed in (0, 1, 256):
        labels = torch.zeros(count, dtype=torch.int64)
        side = Batches(
            None,
            labels,
            1,
            Recipe("", "", augment=True),
            mean=[0.5],
            std=[0.5],
            mirrors=True,
            border=0,
            seed=seed,
        ).side
        assert abs(int(side.sum()) - count / 2) < 3 * np.sqrt(count / 4)
        assert set(side.tolist()) == {
            0,
            1,
        }
        sides.append(side)
    assert all(
        abs(int((one == other).sum()) - count / 2) < 4 * np.sqrt(count / 4)
        for one, other in [sides[:2], sides[1:], sides[::2]]
    )


@pytest.mark.parametrize("reflect", [False, True])
def test_windows_are_all_crops(reflect):
    images = torch.from_numpy(IMAGES[:, :, :10].copy())  # not square
    crops = windows(images, 3, reflect)
    padded = np.pad(
        images.numpy(), [(0, 0), (0, 0), (3, 3), (3, 3)], **dict(mode="reflect") if reflect else {}
    )
    assert crops.shape == (COUNT, 3, 7, 7, 10, SIDE)
    assert crops.dtype == torch.uint8
    for y, x in np.ndindex(7, 7):
        assert np.array_equal(crops[:, :, y, x], padded[:, :, y : y + 10, x : x + SIDE])
    assert windows(images, 0, reflect).shape == (COUNT, 3, 1, 1, 10, SIDE)


def test_reflection_in_chunks_is_reflection(monkeypatch):
    monkeypatch.setattr(feeding, "CHUNK", 4)
    padded = np.pad(IMAGES, [(0, 0), (0, 0), (2, 2), (2, 2)], mode="reflect")
    assert np.array_equal(
        windows(torch.from_numpy(IMAGES.copy()), 2, True)[:, :, 4, 0], padded[:, :, 4:, :SIDE]
    )


@pytest.mark.parametrize(("cutout", "side"), [(0.25, 4), (0.5, 8)])
def test_cutout_covers_a_square_of_the_mean_colour(cutout, side):
    """Its centre may be anywhere: the square is of the right size, or cut at the border, and all
    squares together cover the picture evenly.
    """
    loader, places, whole = batches(cutout=cutout, batch_size=6), np.zeros((SIDE, SIDE)), 0
    for number in range(40):
        images, labels, _ = drawn(loader, number)
        plain = (
            torch.from_numpy(IMAGES[labels]).float() / 255 - torch.tensor(MEAN).view(3, 1, 1)
        ) / torch.tensor(STD).view(3, 1, 1)
        for image, untouched in zip(images, plain, strict=True):
            covered = (image == 0).all(0).numpy()
            assert torch.allclose(image[:, ~covered], untouched[:, ~covered], atol=1e-5)
            rows, columns = np.flatnonzero(covered.any(1)), np.flatnonzero(covered.any(0))
            assert covered.sum() == len(rows) * len(columns)
            assert np.all(np.diff(rows) == 1)
            assert np.all(np.diff(columns) == 1)
            for line in (rows, columns):
                assert side / 2 <= len(line) <= side
                assert len(line) == side or line[0] == 0 or line[-1] == SIDE - 1
            places += covered
            whole += covered.sum() == side**2
    # a place in the middle is covered with probability (side / SIDE)^2
    shares = places / (40 * COUNT)
    middle = shares[side // 2 : -side // 2, side // 2 : -side // 2].mean()
    assert middle == pytest.approx(cutout**2, rel=0.2)
    assert whole / (40 * COUNT) == pytest.approx(((SIDE - side + 1) / SIDE) ** 2, rel=0.2)


# Imbalanced classes

LABELS = np.repeat([0, 1, 2, 3], [12, 6, 4, 1])  # 23 pictures: a class with less than 5.75 is rare


def test_only_rare_classes_are_changed():
    tagged = IMAGES.copy()
    # the red channel tells which picture it is, wherever it is cropped
    tagged[:, 0, :, :] = np.arange(1, COUNT + 1)[:, None, None]
    changed = np.zeros(COUNT, int)
    loader = batches(
        labels=LABELS,
        images=tagged,
        augment=True,
        reflect=True,
        cutout=0.25,
        augment_only_rare=True,
    )
    for number in range(6):
        images, labels, _ = drawn(loader, number)
        for image, label in zip(pixels(images), labels.tolist(), strict=True):
            # but for the square that covers some of it
            row = int(np.bincount(image[0].ravel())[: COUNT + 1].argmax()) - 1
            assert LABELS[row] == label
            changed[row] += not np.array_equal(image, tagged[row])
    assert (changed[LABELS < 2] == 0).all()
    assert (changed[LABELS >= 2] == 6).all()


def test_balanced_draws_all_classes_equally_often():
    counts, rows = np.zeros(4), np.zeros(COUNT)
    tagged = IMAGES.copy()
    tagged[:, 0, 0, 0] = np.arange(COUNT)
    loader = batches(labels=LABELS, images=tagged, balanced=True)
    for number in range(100):
        images, labels, sizes = drawn(loader, number)
        assert sizes == [5, 5, 5, 4, 4]
        seen = pixels(images)[:, 0, 0, 0]
        assert np.array_equal(LABELS[seen], labels)
        counts += np.bincount(labels, minlength=4)
        rows += np.bincount(seen, minlength=COUNT)
    expected = 100 * COUNT / 4
    # the chi-square of three degrees of freedom is above that once in a thousand
    assert ((counts - expected) ** 2 / expected).sum() < 16.3
    expected = expected / np.bincount(LABELS)[LABELS]
    assert ((rows - expected) ** 2 / expected).sum() < 48.3  # twenty-two degrees


# The same batches again

EVERYTHING = dict(augment=True, cutout=0.3, reflect=True)


@pytest.mark.parametrize(
    "settings",
    [{}, EVERYTHING, dict(EVERYTHING, balanced=True)],
    ids=["plain", "augmented", "balanced"],
)
def test_one_seed_gives_one_order(settings):
    settings = dict(settings, labels=LABELS) if "balanced" in settings else settings
    first, again, other = (batches(seed=seed, **settings) for seed in (1, 1, 2))
    for number in (0, 1, 7):
        assert same(list(first.epoch(number)), list(again.epoch(number)))
        assert not same(list(first.epoch(number)), list(other.epoch(number)))
    assert not same(list(first.epoch(0)), list(first.epoch(1)))
    assert not torch.equal(drawn(batches(), 0)[1], drawn(batches(), 1)[1])


@pytest.mark.parametrize("settings", [{}, EVERYTHING], ids=["plain", "augmented"])
def test_a_resumed_pass_goes_on_with_the_same_batches(settings):
    """Also where another loader was asked for other epochs before: nothing depends on what was
    drawn earlier.
    """
    whole, busy = batches(**settings), batches(**settings)
    for number in (0, 3):
        expected = list(whole.epoch(number))
        for skip in range(6):
            next(iter(busy.epoch(9)), None)
            assert same(list(busy.epoch(number, skip)), expected[skip:])


@pytest.mark.parametrize("ranks", [2, 3])
def test_shares_of_a_batch_make_the_whole_batch(ranks):
    """Of batches that cannot be divided evenly, too: each process draws the whole batch's random
    numbers and takes its own.
    """
    whole, shares = (
        batches(**EVERYTHING),
        [batches(**EVERYTHING, rank=rank, ranks=ranks) for rank in range(ranks)],
    )
    for number in (0, 1):
        for (images, labels, all_labels), *parts in zip(
            whole.epoch(number), *(share.epoch(number) for share in shares), strict=True
        ):
            assert (
                abs(max(len(part[1]) for part in parts) - min(len(part[1]) for part in parts)) <= 1
            )
            assert all(torch.equal(part[2], all_labels) for part in parts)
            for rank, part in enumerate(parts):
                assert torch.equal(part[0], images[rank::ranks])
                assert torch.equal(part[1], labels[rank::ranks])


# From files


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    """The pictures as PNG files."""
    from PIL import Image

    folder = tmp_path_factory.mktemp("pictures")
    for row, picture in enumerate(PICTURES):
        Image.fromarray(picture).save(folder / f"{row:02}.png")
    return PictureFiles(sorted(map(str, folder.iterdir())))


def split_of(pictures):
    return Split(pictures, np.arange(COUNT), np.array([str(row) for row in range(COUNT)]))


def streamed(pictures, workers, size=(3, SIDE, SIDE), border=2):
    return Streamed(split_of(pictures), size, "cpu", border, True, workers=workers)


@pytest.mark.parametrize("workers", [0, 2])
@pytest.mark.parametrize("kind", ["files", "array"])
def test_streamed_pictures_are_those_in_memory(files, kind, workers):
    loader = batches(source=streamed(files if kind == "files" else PICTURES, workers), **EVERYTHING)
    for number, skip in ((0, 0), (1, 3)):
        assert same(
            list(loader.epoch(number, skip)), list(batches(**EVERYTHING).epoch(number, skip))
        )


def test_streamed_pictures_are_fitted_to_the_network(files):
    """To one channel and another size, as a split fits all of them at a time."""
    size = (1, 12, 10)
    loader = batches(
        source=streamed(files, 0, size, border=0), images=np.zeros((COUNT, 1, 12, 10), np.uint8)
    )
    fitted = split_of(files).images(size)
    for images, labels, _ in loader.epoch(0):
        expected = (torch.from_numpy(fitted[labels]).float() / 255 - MEAN[0]) / STD[0]
        assert torch.allclose(images, expected, atol=1e-5)
        assert images.shape[1:] == size


@pytest.mark.parametrize("workers", [0, 2])
def test_a_picture_that_vanished_is_one_sentence(files, tmp_path, workers):
    gone = PictureFiles([*files.paths[:-1], str(tmp_path / "gone.png")])
    with pytest.raises(
        UserError, match=r"^The picture 'gone.png' cannot be read any more: [^\n]+[.]$"
    ):
        drawn(batches(source=streamed(gone, workers), **EVERYTHING), 0)
    (tmp_path / "gone.png").write_bytes(b"not a picture")
    with pytest.raises(UserError, match=r"gone.png: This is not a picture[^\n]+$"):
        drawn(batches(source=streamed(gone, workers), **EVERYTHING), 0)


def test_pictures_are_kept_small_until_they_are_in_a_batch(files):
    """Those of one size which the network gets enlarged; files may be of any size, and are kept as
    the network gets them.
    """
    for size, kept in {
        (3, 224, 224): (3, 16, 16),
        (3, 16, 16): (3, 16, 16),
        (3, 8, 8): (3, 8, 8),
        (3, 32, 16): (3, 32, 16),
        (1, 32, 32): (1, 32, 32),
    }.items():
        assert reading.kept_size(split_of(PICTURES), list(size)) == kept
        assert (
            reading.kept_size(
                split_of(PictureFiles(files.paths, (SIDE, SIDE, 3)).take(range(COUNT))), size
            )
            == kept
        )
    assert reading.kept_size(split_of(files), (3, 224, 224)) == (3, 224, 224)


def test_what_is_too_big_streams(monkeypatch):
    split = datasets.load("digits").splits["test"]
    monkeypatch.setattr(reading, "MOST_IN_MEMORY", len(split) * 64)
    assert not reading.streams(split, (1, 8, 8))
    assert reading.streams(split, (1, 8, 9))
    assert reading.streams(split, (3, 8, 8))
