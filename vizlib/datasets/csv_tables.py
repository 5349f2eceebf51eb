"""Pictures whose classes stand in a table with a header: Kaggle's layout, one CSV and one folder.

The columns are found by their usual names, and a column of pictures by what lies in the folder;
where that leaves a choice, a file columns.json beside the table makes it:
{"picture": "id_code", "label": "diagnosis", "split": "set"}.

A folder with one such table is "csv:NAME". Tables of several splits, as train.csv and test.csv, are
one set too; any other is a set of its own, "csv:NAME/FILE.csv".
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

from vizlib.datasets import Dataset, folders_below
from vizlib.datasets.by_class import some
from vizlib.datasets.delimited import rows_of
from vizlib.datasets.labels import classes_of
from vizlib.datasets.layouts import part_of, part_of_file, unwrapped
from vizlib.datasets.matching import Pictures, Rows, matched
from vizlib.datasets.taking import check_classes, dataset_of
from vizlib.datasets.walking import Reasons, Walk, is_picture
from vizlib.errors import UserError

COLUMNS_FILE = "columns.json"
PICTURE_COLUMNS = (
    "image",
    "images",
    "filename",
    "file_name",
    "file",
    "filepath",
    "filepaths",
    "file_path",
    "path",
    "image_path",
    "img_path",
    "image_name",
    "img_name",
    "img",
    "picture",
    "photo",
    "image_id",
    "id_code",
    "id",
    "name",
)
GRADE_COLUMNS = ("level", "grade", "diagnosis", "severity", "stage")
LABEL_COLUMNS = (
    "label",
    "labels",
    "class",
    "class_name",
    "category",
    "target",
    *GRADE_COLUMNS,
    "dx",
    "species",
    "breed",
    "y",
)
SPLIT_COLUMNS = ("split", "set", "subset", "partition", "data set", "dataset")
ENDINGS = (".csv", ".tsv")
TEMPLATE = "sample_submission"  # Kaggle's, with made-up labels
LOOKED_AT = 50  # rows, to tell a column of pictures
NO_SPLIT = "its split is none of training, validation and test"
NO_LABEL = "without a label"
OTHER_COLUMNS = "a table without the columns of the training's"


@dataclass(frozen=True)
class Columns:
    """The names of the columns of a table that hold the picture, its label, and its split, which
    there may be none of.
    """

    picture: str
    label: str
    split: str | None = None


def choose_columns(folder: Path, columns: Columns) -> None:
    """Write down which columns of the tables in a folder are meant, for all readings from now."""
    content = {name: value for name, value in asdict(columns).items() if value is not None}
    (unwrapped(folder) / COLUMNS_FILE).write_text(json.dumps(content), encoding="utf-8")


def find_tables(root: Path, is_taken: Callable[[Path], bool]) -> list[str]:
    """Of the folders below `root` the sets in tables. is_taken(folder): whether it is known already
    under its own name.
    """
    names = []
    for folder in folders_below(root, lambda folder: tables_in(folder)):
        for number, tables in enumerate(_sets(folder)):
            is_own = number == 0 and not is_taken(folder)
            names.append(f"csv:{folder.name}" + ("" if is_own else f"/{tables[0].name}"))
    return names


def tables_in(folder: Path) -> list[Path]:
    """The tables in a data set's folder that say the classes of pictures, and one of its name
    beside it.
    """
    top = unwrapped(folder)
    inside = [Path(entry.path) for entry in Walk(top).entries(top)[1]]
    beside = [folder.with_name(folder.name + ending) for ending in ENDINGS]
    return [path for path in (*inside, *beside) if _is_table(path)]


def _is_table(path: Path) -> bool:
    if path.suffix.lower() not in ENDINGS or path.stem.lower().startswith(TEMPLATE):
        return False
    try:
        state = path.stat()
    except OSError:
        return False
    return _looks_like_a_table(path, state.st_mtime_ns, state.st_size)


@lru_cache(maxsize=256)
def _looks_like_a_table(path: Path, *state: int) -> bool:
    """Whether a file has more than one column, one of them of pictures by its name or its first
    cell. Read once for each state of the file.
    """
    try:
        rows = [row for row in rows_of(path, most=3) if row]
    except UserError:
        return False
    if not rows or len(rows[0]) < 2:
        return False
    names = {cell.lower() for cell in rows[0]}
    return bool(names & set(PICTURE_COLUMNS)) or any(is_picture(cell) for cell in rows[-1])


def _sets(folder: Path) -> list[list[Path]]:
    """The tables of a folder, those together that are the splits of one set, the main one first."""
    tables = tables_in(folder)
    by_part: dict[str, list[Path]] = {}
    for path in tables:
        by_part.setdefault(part_of_file(path.name) or "", []).append(path)
    splits = [paths[0] for part, paths in by_part.items() if part and len(paths) == 1]
    if "train" not in by_part or any(path not in splits for path in by_part["train"]):
        return [[path] for path in tables]
    splits.sort(key=lambda path: part_of_file(path.name) != "train")
    return [splits, *([path] for path in tables if path not in splits)]


@dataclass
class _Table:
    """A table as it is read: its file's name, its header, and the rows below, as long each."""

    file_name: str
    header: list[str]
    rows: list[list[str]]

    @classmethod
    def read(cls, path: Path) -> _Table:
        rows = [row for row in rows_of(path) if row]
        header = rows[0] if rows else []
        width = len(header)
        if len({name.lower() for name in header}) < width or not all(header):
            raise UserError(
                f"{path.name} has no header of its own: its first line is {some(header)}. Write "
                "a line such as image,label above it."
            )
        return cls(path.name, header, [(row + [""] * width)[:width] for row in rows[1:]])

    def cells(self, column: str) -> list[str]:
        number = self.header.index(column)
        return [row[number] for row in self.rows]

    def has(self, columns: Columns) -> bool:
        """Whether all of these columns are there."""
        wanted = {columns.picture, columns.label, columns.split or columns.label}
        return wanted <= set(self.header)

    def usual(self, names: Sequence[str]) -> list[str]:
        """The columns with one of these names, the first of them first."""
        by_name = {column.lower(): column for column in self.header}
        return [by_name[name] for name in names if name in by_name]


def _chosen(folder: Path) -> dict[str, Any]:
    """What columns.json says. UserError where it is none."""
    path = unwrapped(folder) / COLUMNS_FILE
    if not path.is_file():
        return {}
    try:
        content = json.loads(path.read_text(encoding="utf-8")[:100_000])
        if not isinstance(content, dict):
            raise ValueError
        return content
    except (OSError, ValueError, RecursionError):
        raise UserError(f"{COLUMNS_FILE} is damaged: {_HOW}") from None


_HOW = (
    f'write the names of the columns into a file {COLUMNS_FILE} beside it, as {{"picture": '
    '"image", "label": "class"}, and "split" where there is one.'
)


def columns_of(folder: Path, table: _Table, pictures: Pictures) -> Columns:
    """The Columns of a table: as columns.json says, else by their usual names. UserError that names
    all columns where there is no telling.
    """
    if not table.usual(PICTURE_COLUMNS) and any(map(pictures.has, table.header)):
        raise UserError(
            f"{table.file_name} has no header: its first line names a picture. Write a line such "
            "as image,label above it."
        )
    chosen = _chosen(folder)
    for column in chosen.values():
        if column not in table.header:
            raise UserError(
                f"{COLUMNS_FILE} names a column {str(column)[:40]!r}, which {table.file_name} "
                f"lacks. It has {some(table.header)}."
            )
    picture = chosen.get("picture") or _picture_column(table, pictures)
    splits = [column for column in table.usual(SPLIT_COLUMNS) if _is_split(table.cells(column))]
    split = chosen.get("split") or (splits[0] if splits else None)
    label = chosen.get("label") or _label_column(table, picture, split)
    return Columns(picture, label, split)


def _is_split(cells: list[str]) -> bool:
    return any(map(part_of, cells))


def _picture_column(table: _Table, pictures: Pictures) -> str:
    """The column whose cells are pictures that are there: of several the one with the more usual
    name.
    """
    columns = dict.fromkeys([*table.usual(PICTURE_COLUMNS), *table.header])
    for column in columns:
        cells = [cell for cell in table.cells(column)[:LOOKED_AT] if cell]
        if sum(map(pictures.has, cells)) * 2 > len(cells):
            return column
    usual = table.usual(PICTURE_COLUMNS)
    if usual and any(map(pictures.has, table.cells(usual[0]))):
        return usual[0]
    raise UserError(
        f"No column of {table.file_name} names pictures that are there; it has "
        f"{some(table.header)}. The pictures are looked for anywhere below the folder."
    )


def _label_column(table: _Table, picture: str, split: str | None) -> str:
    others = [column for column in table.header if column not in (picture, split)]
    usual = [column for column in table.usual(LABEL_COLUMNS) if column in others]
    if len(usual) == 1:
        return usual[0]
    if not usual and len(others) == 1:
        return others[0]
    raise UserError(
        f"Which column of {table.file_name} is the label cannot be told from their names, "
        f"{', '.join(map(repr, table.header[:20]))}: {_HOW}"
    )


class _Tables:
    """The tables of one set, read and matched with the pictures of its folder. UserError for what
    does not fit.
    """

    def __init__(self, folder: Path, paths: Sequence[Path]) -> None:
        top = unwrapped(folder)
        walk = Walk(top, used=[COLUMNS_FILE, *(path.name for path in paths)])
        self.reasons = walk.reasons
        pictures = Pictures(walk.pictures(top))
        tables = [_Table.read(path) for path in paths]
        self.columns = columns_of(folder, tables[0], pictures)
        rows: dict[str, Rows] = {}
        labels: dict[str, list[str]] = {}
        for table in tables:
            if not table.has(self.columns):  # as Kaggle's of the pictures without labels
                self.reasons.add(OTHER_COLUMNS, table.file_name)
                continue
            part = (part_of_file(table.file_name) or "train") if len(tables) > 1 else "train"
            of_table = _rows_by_part(table, self.columns, part, self.reasons)
            labels[table.file_name] = [label for named in of_table.values() for _, label in named]
            for of_part, named in of_table.items():
                rows.setdefault(of_part, []).extend(named)
        if "train" not in rows:
            raise UserError(f"No row of {paths[0].name} is for training.")
        self.class_names, self.are_numbers = classes_of(labels)
        check_classes(self.class_names)
        self.listed = matched(
            rows, pictures, self.class_names, self.reasons, id_of=lambda part, name, file: file.name
        )


def _rows_by_part(table: _Table, columns: Columns, part: str, reasons: Reasons) -> dict[str, Rows]:
    """The names and labels in a table by split. part: that of a table without a column for it."""
    rows: dict[str, Rows] = {}
    splits = table.cells(columns.split) if columns.split else [part] * len(table.rows)
    for name, label, split in zip(
        table.cells(columns.picture), table.cells(columns.label), splits, strict=True
    ):
        of_part = part_of(split)
        if not label:
            reasons.add(NO_LABEL, name)
        elif of_part is None:
            reasons.add(NO_SPLIT, name)
        elif name:
            rows.setdefault(of_part, []).append((name, label))
    return rows


def _paths(name: str, root: Path) -> tuple[Path, list[Path]]:
    """(the folder, the tables) of a set's name; no tables where it is none of a table."""
    folder_name, _, file_name = name.partition(":")[2].partition("/")
    folder = root / folder_name
    sets = _sets(folder)
    if file_name:
        sets = [paths for paths in sets if paths[0].name == file_name]
    return folder, sets[0] if sets else []


def problem_of_tables(name: str, root: Path) -> str:
    """What keeps a set in tables from being used, in a sentence; empty where nothing does."""
    folder, paths = _paths(name, root)
    try:
        _Tables(folder, paths)
    except UserError as error:
        return str(error)
    return ""


def read_tables(name: str, root: Path) -> Dataset:
    """The pictures that the tables of a set name. UserError where they do not fit."""
    folder, paths = _paths(name, root)
    tables = _Tables(folder, paths)
    return dataset_of(
        name,
        folder,
        tables.class_names,
        tables.listed,
        tables.reasons,
        f"{folder.name}, {' and '.join(path.name for path in paths)}, by {tables.columns.label!r}",
        ordered=tables.are_numbers and tables.columns.label.lower() in GRADE_COLUMNS,
    )


def tells_the_classes(folder: Path) -> bool:
    """Whether a table says the classes of a folder's pictures, and its folders do not: no label is
    the name of a folder.
    """
    top = unwrapped(folder)
    folders = {path.name for path in Walk(top).folders(top)}
    return any(not _labels_are_folders(path, folders) for path in tables_in(folder))


def _labels_are_folders(path: Path, folders: set[str]) -> bool:
    """Whether a cell of a table's first rows is the name of one of these folders."""
    return any(cell in folders for row in rows_of(path, most=LOOKED_AT) for cell in row)
