"""A folder for each class: ROOT/NAME/{train,val,test}/CLASS/ in any usual spelling, or
ROOT/NAME/CLASS/; what is missing of the splits is held out by rule.
"""

from __future__ import annotations

from pathlib import Path

from vizlib.datasets import Dataset, folders_below, register, visible_folders
from vizlib.datasets.cifar10 import find_cifar10
from vizlib.datasets.layouts import (
    in_order,
    layout_of,
    problem_of_layout,
)
from vizlib.datasets.listed import is_told_by_lists
from vizlib.datasets.taking import Listed, dataset_of
from vizlib.datasets.walking import (
    NO_PICTURE,
    UNREADABLE,
    WITHOUT_PICTURES,
    Found,
    Walk,
    composed,
    is_picture,
)

OUTSIDE = "in no class folder"
BESIDE = "a folder beside those of the splits"
NO_CLASS = "in class folders of which training has none"

Classes = dict[str, list[Found]]  # the pictures of each


def find_folders(root: Path) -> list[str]:
    """Of the folders below `root` those that hold class folders, as "folder:NAME"."""
    is_cifar10 = bool(find_cifar10(root))
    return [
        f"folder:{path.name}"
        for path in folders_below(root, _is_ours)
        if path.name != "cifar10" or not is_cifar10
    ]


def _is_ours(folder: Path) -> bool:
    layout = layout_of(folder)
    return layout is not None and ("train" in layout.parts or not is_told_by_lists(folder))


def _problem(name: str, root: Path) -> str:
    """What keeps a folder of the root from being read as class folders, in a sentence."""
    try:
        folders = {path.name: path for path in visible_folders(root)}
    except OSError:
        return ""
    folder = folders.get(name.partition(":")[2])
    if folder is None or layout_of(folder) is not None:
        return ""
    return f"{problem_of_layout(folder)}."


@register(
    "folder",
    find=find_folders,
    problem=_problem,
    missing="Put pictures into DATA/NAME/CLASS/, or DATA/NAME/train/CLASS/ and "
    "DATA/NAME/test/CLASS/, where DATA is CONVSCOPE_DATA or data/.",
)
def read_folders(name: str, root: Path) -> Dataset:
    """The classes are the folders that hold pictures, in order. UserError where no picture for
    training can be read.
    """
    folder = root / name.partition(":")[2]
    layout = layout_of(folder)
    assert layout is not None  # it was found
    walk = Walk(layout.top)
    by_part = {part: _classes(walk, paths, layout.beside) for part, paths in layout.parts.items()}
    walk.reasons.add(BESIDE, *map(walk.name, layout.beside))
    if "" in by_part:
        by_part["train"] = by_part.pop("")
    else:
        _leave_out_files(walk, layout.top)
        by_part = _without_strangers(walk, by_part)
    class_names = in_order(list({name: 0 for classes in by_part.values() for name in classes}))
    listed = {part: _listed(classes, class_names) for part, classes in by_part.items()}
    note = f"{folder.name}, class folders"
    return dataset_of(name, folder, class_names, listed, walk.reasons, note)


def _classes(walk: Walk, folders: list[Path], beside: list[Path]) -> Classes:
    """The pictures of each class of a split, which may lie in several folders. beside: folders in
    them that are no classes.
    """
    classes: Classes = {}
    for folder in folders:
        for class_folder in _leave_out_files(walk, folder):
            if class_folder in beside:
                continue
            if pictures := walk.pictures(class_folder):
                classes.setdefault(composed(class_folder.name), []).extend(pictures)
            elif walk.name(class_folder) not in walk.reasons.names.get(UNREADABLE, []):
                walk.reasons.add(WITHOUT_PICTURES, walk.name(class_folder))
    return classes


def _leave_out_files(walk: Walk, folder: Path) -> list[Path]:
    """The folders in one that holds class folders, or split folders: files in it are of no
    class.
    """
    folders, files = walk.entries(folder)
    for file in files:
        walk.reasons.add(OUTSIDE if is_picture(file.name) else NO_PICTURE, walk.name(file.path))
    return [Path(entry.path) for entry in folders]


def _without_strangers(walk: Walk, by_part: dict[str, Classes]) -> dict[str, Classes]:
    """The splits without those whose folders are no classes, as of test pictures whose classes are
    kept back: none of them is one of the training's.
    """
    kept = {}
    for part, classes in by_part.items():
        if classes.keys() & by_part["train"].keys():
            kept[part] = classes
        else:
            names = [file.name for files in classes.values() for file in files]
            walk.reasons.add(NO_CLASS, *names)
    return kept


def _listed(classes: Classes, class_names: list[str]) -> Listed:
    """All pictures of one split, class by class."""
    listed = Listed()
    for label, class_name in enumerate(class_names):
        for file in classes.get(class_name, []):
            listed.add(file, label)
    return listed
