"""The data sets this machine has, by name. A file dropped into this folder is found and listed at
once.

Pictures lie under the data root: the folder named by CONVSCOPE_DATA, else data/. A data set is
named like its reader ("digits", "cifar10"), or READER:FOLDER for readers of whatever folders are
there ("folder:trash", "csv:knee").
"""

from __future__ import annotations

import importlib
import os
import pkgutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Protocol

import numpy as np

from vizlib.datasets.by_class import some
from vizlib.errors import UserError, unknown

_readers: dict[str, Reader] = {}


def data_root() -> Path:
    """The folder that pictures are looked for in."""
    return Path(os.environ.get("CONVSCOPE_DATA") or "data")


class Pictures(Protocol):
    """Pictures that are opened when asked for: a sequence of uint8 arrays (H, W, C)."""

    def __len__(self) -> int: ...

    def __getitem__(self, image_number: int, /) -> np.ndarray: ...

    def take(self, image_numbers: np.ndarray, /) -> Pictures:
        """Only these, in their order."""
        ...


@dataclass(frozen=True)
class Split:
    """Some pictures with their labels.

    pictures: uint8 arrays (H, W, C): one array (N, H, W, C), or files opened when asked for.
    labels: int64 (N,). image_ids: (N,) strings, the same for one picture wherever its data set is
    stored. digests: uint64 (N,) of the bytes of the files, by which a picture is known that got
    another name; None where the pictures are no files. whole: whether a network gets them whole,
    within a black border, or their middle.
    """

    pictures: np.ndarray | Pictures
    labels: np.ndarray
    image_ids: np.ndarray
    digests: np.ndarray | None = None
    whole: bool = False

    def __len__(self) -> int:
        return len(self.labels)

    def take(self, image_numbers: np.ndarray) -> Split:
        """The split of only these image_numbers, in their order."""
        pictures = (
            self.pictures[image_numbers]
            if isinstance(self.pictures, np.ndarray)
            else self.pictures.take(image_numbers)
        )
        digests = None if self.digests is None else self.digests[image_numbers]
        return replace(
            self,
            pictures=pictures,
            labels=self.labels[image_numbers],
            image_ids=self.image_ids[image_numbers],
            digests=digests,
        )

    def received(self, image_number: int, image_size: Sequence[int]) -> np.ndarray:
        """A picture as the network gets it before normalisation: uint8 (H, W, C) of the given (C,
        H, W).
        """
        from vizlib.images import fit

        return fit(self.pictures[image_number], image_size, whole=self.whole)

    def images(self, image_size: Sequence[int]) -> np.ndarray:
        """All pictures as the network gets them before normalisation: uint8 (N, C, H, W) of the
        given (C, H, W).
        """
        from vizlib.datasets import decoded
        from vizlib.datasets.picture_files import PictureFiles

        if isinstance(self.pictures, np.ndarray) and self.pictures.shape[1:] == (
            *image_size[1:],
            image_size[0],
        ):
            return np.ascontiguousarray(self.pictures.transpose(0, 3, 1, 2))
        if isinstance(self.pictures, PictureFiles):
            return decoded.fitted(self.pictures, image_size, data_root(), whole=self.whole)
        return decoded.decode(self.pictures, image_size, whole=self.whole)

    def in_chunks(self, image_size: Sequence[int], count: int = 250) -> Iterator[np.ndarray]:
        """The same, `count` pictures at a time, for a split that does not fit into memory as a
        whole.
        """
        for start in range(0, len(self), count):
            yield self.take(np.arange(start, min(start + count, len(self)))).images(image_size)


class TrainedOn(Protocol):
    """What a run's configuration says of its data."""

    @property
    def dataset(self) -> str: ...

    @property
    def class_names(self) -> Sequence[str]: ...

    @property
    def whole(self) -> bool: ...

    @property
    def levels(self) -> Sequence[float] | None: ...

    @property
    def origin(self) -> Mapping[str, str] | None: ...


@dataclass(frozen=True)
class LeftOut:
    """What a data set did not take, for one reason.

    reason: in a few words, as "not a picture" or "damaged". names: all of them, as paths inside the
    data set's folder, legible.
    """

    reason: str
    names: list[str]

    @property
    def sentence(self) -> str:
        """How many, why, and three of their names."""
        return f"{len(self.names):,} left out, {self.reason}: {some(self.names)}."


@dataclass(frozen=True)
class Dataset:
    """Labelled pictures. `splits` has "train" and "test", and "val" where the source brings one;
    `test` is never trained on.

    mean and std: of the training pixels by channel, in [0, 1]. note: which copy this is and what
    its test split consists of. ordered: whether the classes are grades, one above the other.
    mirrors: whether a picture seen in a mirror is still of its class. official: whether the ids are
    those of a published data set, of which "test/..." is never trained on in any copy. elsewhere:
    splits that only serve to look a picture up. left_out: what lies there and was not taken.
    remarks: sentences a reader should know of, as which split was held out by rule. are_shipped:
    whether these are only the pictures that ship of it, a test split alone.
    """

    name: str
    class_names: list[str]
    image_size: tuple[int, int, int]
    mean: list[float]
    std: list[float]
    splits: dict[str, Split]
    note: str
    ordered: bool = False
    mirrors: bool = True
    official: bool = False
    elsewhere: dict[str, Split] = field(default_factory=dict)
    left_out: list[LeftOut] = field(default_factory=list)
    remarks: list[str] = field(default_factory=list)
    are_shipped: bool = False

    def picture(self, image_id: str) -> np.ndarray:
        """The uint8 picture (H, W, C) of an id; KeyError if this copy lacks it."""
        for split in (*self.splits.values(), *self.elsewhere.values()):
            image_numbers = np.flatnonzero(split.image_ids == image_id)
            if len(image_numbers):
                return split.pictures[int(image_numbers[0])]
        raise KeyError(image_id)


@dataclass(frozen=True)
class Reader:
    """How one kind of data set is found and read: `find(root)` names what is there, `problem(name,
    root)` says in a sentence what keeps what lies there under a name from being used, an empty
    text where nothing does, and `read(name, root)` gives the Dataset.
    """

    name: str
    find: Callable[[Path], list[str]]
    problem: Callable[[str, Path], str]
    read: Callable[[str, Path], Dataset]
    missing: str  # what to do where it is not on this machine
    # download(root, say) fetches it; say(share) is told the progress in [0, 1]
    download: Callable[..., None] | None
    download_bytes: int | None = None  # how much that fetches, where it is known


def register(
    name: str,
    *,
    find: Callable[[Path], list[str]],
    missing: str,
    problem: Callable[[str, Path], str] = lambda name, root: "",
    download: Callable[..., None] | None = None,
    download_bytes: int | None = None,
) -> Callable[[Callable[[str, Path], Dataset]], Callable[[str, Path], Dataset]]:
    """Decorator for a function read(name, root) -> Dataset. A reader's name taken twice raises
    ValueError.
    """

    def decorate(read: Callable[[str, Path], Dataset]) -> Callable[[str, Path], Dataset]:
        if name in _readers:
            raise ValueError(f"a reader of data sets named {name!r} is registered already")
        _readers[name] = Reader(name, find, problem, read, missing, download, download_bytes)
        return read

    return decorate


def readers() -> dict[str, Reader]:
    """All readers by name."""
    for module in pkgutil.iter_modules(__path__):
        importlib.import_module(f"{__name__}.{module.name}")
    return dict(sorted(_readers.items()))


def names() -> list[str]:
    """The data sets on this machine, by name. Looks at folders and lists, opens no picture."""
    return [
        name
        for reader in readers().values()
        for name in _found(reader)
        if not reader.problem(name, data_root())
    ]


def is_here(name: str) -> bool:
    """Whether a data set is on this machine, as `names` has it."""
    reader = readers().get(name.partition(":")[0])
    return reader is not None and name in _found(reader) and not reader.problem(name, data_root())


def _found(reader: Reader) -> list[str]:
    """What a reader finds; nothing where it may not look."""
    try:
        return reader.find(data_root())
    except OSError:
        return []


def problems() -> list[str]:
    """A sentence for each folder that may be a data set and cannot be used as one, and for the
    folder of them all.
    """
    unreadable = unreadable_folders()
    try:
        folders = [path for path in visible_folders(data_root()) if not problem_of(path)]
    except OSError:
        return unreadable
    return unreadable + _problems_by_reader(data_root(), folders)


def unreadable_folders() -> list[str]:
    """A sentence for each folder that cannot be looked into whatever lies in it, and for the folder
    of them all.
    """
    root = data_root()
    try:
        folders = visible_folders(root)
    except FileNotFoundError:
        return []
    except OSError as error:
        return [f"The folder of data sets {root} cannot be read: {error.strerror}."]
    return [
        f"The data set {os.fsencode(folder.name).decode(errors='replace')!r} is left out: "
        f"{problem_of(folder)}."
        for folder in folders
        if problem_of(folder)
    ]


def _problems_by_reader(root: Path, folders: list[Path]) -> list[str]:
    """A sentence for each name that a reader finds and cannot use, and for each folder in which no
    reader finds anything.
    """
    sentences, claimed = [], {"cifar-10-batches-py"}
    for reader in readers().values():
        found = _found(reader)
        claimed |= {name.partition(":")[2].partition("/")[0] or name for name in found}
        sentences += [
            f"The data set {name!r} is left out: {problem}"
            for name in sorted({*found, reader.name})
            if (problem := reader.problem(name, root))
        ]
    for folder in folders:
        if folder.name not in claimed:
            problem = reader_of("folder").problem(f"folder:{folder.name}", root)
            sentences.append(f"The data set {folder.name!r} is left out: {problem}")
    return sentences


def visible_folders(root: Path) -> list[Path]:
    """The folders directly below, by name, but for hidden ones."""
    return sorted(
        path for path in root.iterdir() if not path.name.startswith(".") and os.path.isdir(path)
    )


def problem_of(folder: Path) -> str:
    """What keeps a folder from being used as a data set whatever lies in it, in a few words; empty
    where nothing does.
    """
    try:
        folder.name.encode()
        os.listdir(folder)
    except UnicodeEncodeError:
        return "its name is not UTF-8"
    except OSError as error:
        return f"it cannot be read ({error.strerror})"
    return ""


def folders_below(root: Path, holds: Callable[[Path], object]) -> list[Path]:
    """The folders directly below, by name, of which holds(folder) is true; those that cannot be
    looked into are passed over.
    """
    try:
        folders = visible_folders(root)
    except OSError:
        return []
    return [folder for folder in folders if not problem_of(folder) and _holds(holds, folder)]


def _holds(holds: Callable[[Path], object], folder: Path) -> bool:
    try:
        return bool(holds(folder))
    except OSError:  # something in it cannot be read
        return False


def reader_of(name: str) -> Reader:
    """The Reader that a data set's name belongs to, whether or not it is on this machine. UserError
    for a name of none.
    """
    reader = readers().get(name.partition(":")[0])
    if reader is None:
        raise unknown("data set", name, names())
    return reader


def source_of(name: str) -> str:
    """The name of the data set that a thinned one was taken from, whose ids it has: "csv:knee" of
    "csv-imbalanced:knee"; of any other its own.
    """
    reader, colon, folder = name.partition(":")
    return reader.removesuffix("-imbalanced") + colon + folder


def load(name: str) -> Dataset:
    """The Dataset of that name. UserError if it is not on this machine, with what to do about it,
    or if what is there cannot be used, with the reason.
    """
    reader = reader_of(name)
    if name in _found(reader):
        return reader.read(name, data_root())
    if problem := reader.problem(name, data_root()):
        raise UserError(f"The data set {name!r} cannot be used: {problem}")
    raise UserError(f"The data set {name!r} is not on this machine. {reader.missing}")


def load_for(config: TrainedOn, load: Callable[[str], Dataset] = load) -> Dataset:
    """The Dataset of a run's configuration, `in_terms_of` it. UserError if it is not on this
    machine or does not fit, or if the run has no data set. load: gives the data set of a name.
    """
    if not config.dataset:
        raise UserError(
            "This network was imported without a data set: import it again with one that has its "
            "classes (--data NAME)."
        )
    return in_terms_of(config, load(config.dataset))


def in_terms_of(config: TrainedOn, dataset: Dataset) -> Dataset:
    """A run's data set as `seen_by` it, its classes in the run's order. UserError if it has other
    classes, or an order of them that no rule of names explains. A network from elsewhere may have
    them in any order: there the names alone say what an answer means.
    """
    dataset, names = seen_by(dataset, config), list(config.class_names)
    is_permuted = config.origin is not None and sorted(names) == _by_letters(dataset)
    if is_permuted or names in (_by_letters(dataset), _counted_from_zero(dataset)):
        return _in_order(dataset, names)
    if list(dataset.class_names) != names:
        raise UserError(
            f"The data set {config.dataset!r} on this machine has "
            f"{len(dataset.class_names)} classes beginning with {dataset.class_names[0]!r}; "
            "the run "
            f"was trained on {len(config.class_names)} beginning with "
            f"{config.class_names[0]!r}, in another order or of other names."
        )
    return dataset


def seen_by(dataset: Dataset, config: TrainedOn) -> Dataset:
    """A data set as a run's network sees it: whole or cut, and greys of more than 8 bits on the
    scale that the run was trained on, whatever was added since.
    """

    def seen(split: Split) -> Split:
        return replace(split, pictures=_on_scale(split.pictures, config), whole=config.whole)

    return replace(
        dataset,
        splits={part: seen(split) for part, split in dataset.splits.items()},
        elsewhere={part: seen(split) for part, split in dataset.elsewhere.items()},
    )


def _on_scale(pictures: np.ndarray | Pictures, config: TrainedOn) -> np.ndarray | Pictures:
    from vizlib.datasets.picture_files import PictureFiles

    if config.levels is None or not isinstance(pictures, PictureFiles):
        return pictures
    low, high = config.levels
    return PictureFiles(pictures.paths, pictures.size, (low, high))


def _by_letters(dataset: Dataset) -> list[str]:
    """The classes as earlier versions ordered class folders: "10" before "2"."""
    return sorted(dataset.class_names)


def _counted_from_zero(dataset: Dataset) -> list[str]:
    """The classes as earlier versions took them from lists of labels that begin with 1."""
    names = dataset.class_names
    if not all(name.isascii() and name.isdecimal() and len(name) <= 4 for name in names):
        return names
    return [str(label) for label in range(max(map(int, names)) + 1)]


def _in_order(dataset: Dataset, class_names: list[str]) -> Dataset:
    """The same data set with these class names, which hold all of its own."""
    if class_names == dataset.class_names:
        return dataset
    labels = np.array([class_names.index(name) for name in dataset.class_names])
    by_part = {
        part: replace(split, labels=labels[split.labels]) for part, split in dataset.splits.items()
    }
    return replace(dataset, class_names=class_names, splits=by_part)


def hold_out(split: Split, count: int, seed: int) -> tuple[Split, Split]:
    """Two splits: the rest, and `count` pictures drawn from it by seed. A class keeps at least one
    picture in the rest, where another can spare one for it. UserError if too few would be left to
    train on.
    """
    if not 0 < count <= len(split) // 2:
        raise UserError(
            f"Cannot hold out {count} of {len(split)} images for validation: between 1 and "
            f"{len(split) // 2} is possible."
        )
    order = np.random.default_rng(seed).permutation(len(split))
    held, rest = order[:count].tolist(), order[count:].tolist()
    _give_back(split.labels, held, rest)
    return split.take(np.sort(rest)), split.take(np.sort(held))


def _give_back(labels: np.ndarray, held: list[int], rest: list[int]) -> None:
    """Exchange one picture of each class that is held out as a whole for one of the class that has
    most in the rest.
    """
    counts = np.bincount(labels[rest], minlength=int(labels.max()) + 1)
    for label in np.flatnonzero((counts == 0) & (np.bincount(labels) > 0)):
        commonest = int(counts.argmax())
        if counts[commonest] < 2:
            return
        gains = next(number for number, image in enumerate(held) if labels[image] == label)
        loses = next(number for number, image in enumerate(rest) if labels[image] == commonest)
        held[gains], rest[loses] = rest[loses], held[gains]
        counts[label] += 1
        counts[commonest] -= 1


def channel_statistics(images: np.ndarray) -> tuple[list[float], list[float]]:
    """Mean and standard deviation by channel, in [0, 1], of uint8 images (N, C, H, W)."""
    levels = [
        np.bincount(images[:, channel].ravel(), minlength=256) for channel in range(images.shape[1])
    ]
    values = np.arange(256) / 255
    means = [float((values * counts).sum() / counts.sum()) for counts in levels]
    stds = [
        float(np.sqrt((np.square(values - mean) * counts).sum() / counts.sum()))
        for mean, counts in zip(means, levels, strict=True)
    ]
    return [round(mean, 4) for mean in means], [round(max(std, 1e-3), 4) for std in stds]
