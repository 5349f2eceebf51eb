"""Which picture file a name in a list means."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Sequence

from vizlib.datasets.layouts import part_of_file
from vizlib.datasets.taking import PARTS, Listed
from vizlib.datasets.walking import Found, Reasons, composed, is_picture
from vizlib.errors import UserError

NOT_HERE = "listed, but not on this machine"
NOT_LISTED = "a picture that no list names"
LISTED_TWICE = "listed more than once"
TWO_LABELS = "listed with two labels"
FOR_LEARNING = "listed for testing, and for training or validation too"

Rows = list[tuple[str, str]]  # the name and the label of each picture of a list


class Pictures:
    """The picture files of a data set, looked up as lists name them: by path, by name, or by name
    without its ending.
    """

    def __init__(self, files: Sequence[Found]) -> None:
        self.files = files
        self._by_path = {file.name: file for file in files}
        self._by_name: dict[str, list[Found]] = defaultdict(list)
        self._by_stem: dict[str, list[Found]] = defaultdict(list)
        for file in files:
            name = _last(file.name)
            self._by_name[name].append(file)
            self._by_stem[_stem(name)].append(file)

    def named(self, name: str, part: str = "", *, also_elsewhere: bool = False) -> Found | None:
        """The file that a name means, or None where there is none. UserError, naming both, where it
        fits two.

        part: of two, one in a folder of this split comes first. also_elsewhere: whether the same
        name stands in the list of another split: then no file in that one's folder is meant.
        """
        candidates = self._candidates(name)
        if len(candidates) > 1 or also_elsewhere:
            candidates = _of_part(candidates, part, also_elsewhere)
        if len(candidates) > 1:
            raise UserError(
                f"The name {name[:60]!r} fits two files, {candidates[0].name!r} and "
                f"{candidates[1].name!r}: write it with its folder and ending."
            )
        return candidates[0] if candidates else None

    def has(self, name: str) -> bool:
        """Whether a name means a file that is there, or several."""
        return bool(self._candidates(name))

    def _candidates(self, name: str) -> list[Found]:
        """The files that a name may mean, by the nearest way of reading it alone."""
        name = composed(name).replace("\\", "/").removeprefix("./")
        if name in self._by_path:
            return [self._by_path[name]]
        folder, _, last = name.rpartition("/")
        candidates = self._by_name.get(last) or self._by_stem.get(_stem(last), [])
        if len(candidates) > 1:
            # the ending of the lists' first layout, where pictures lie there in two
            usual = [file for file in candidates if _last(file.name) == f"{last}.jpeg"]
            candidates = usual or candidates
        return [file for file in candidates if folder and _ends_in(file, folder)] or candidates


def _of_part(candidates: list[Found], part: str, also_elsewhere: bool) -> list[Found]:
    """Those in a folder of this split; else those in no split's folder; else, unless the name is
    also listed elsewhere, all of them.
    """
    own = [file for file in candidates if part and _part(file) == part]
    neutral = [file for file in candidates if not _part(file)]
    return own or neutral or ([] if also_elsewhere else candidates)


def matched(
    rows: dict[str, Rows],
    pictures: Pictures,
    class_names: list[str],
    reasons: Reasons,
    id_of: Callable[[str, str, Found], str],
) -> dict[str, Listed]:
    """The picture files that the rows of each split name, with their labels.

    A file that a list for training or validation names is never a test picture; one with two labels
    is none of any class. id_of(part, name, file) gives the id of a picture. reasons: what is left
    out is added.
    """
    names = {part: {composed(name) for name, _ in of_part} for part, of_part in rows.items()}
    listed, taken = {}, set()
    for part in filter(rows.__contains__, PARTS):
        elsewhere = set().union(*(of for other, of in names.items() if other != part))
        found = _Rows(reasons)
        for name, label in rows[part]:
            file = pictures.named(name, part, also_elsewhere=composed(name) in elsewhere)
            if file in taken:
                reasons.add(FOR_LEARNING, name)
            else:
                found.add(file, name, composed(label))
        listed[part] = Listed()
        for file, (name, label) in found.kept().items():
            listed[part].add(file, class_names.index(label), id_of(part, name, file))
        taken |= set(found.by_file)
    named = taken.union(*(of_part.files for of_part in listed.values()))
    reasons.add(NOT_LISTED, *(file.name for file in pictures.files if file not in named))
    return listed


class _Rows:
    """The rows of one split by the file that they mean."""

    def __init__(self, reasons: Reasons) -> None:
        self.by_file: dict[Found, list[tuple[str, str]]] = {}
        self._reasons = reasons

    def add(self, file: Found | None, name: str, label: str) -> None:
        if file is None:
            self._reasons.add(NOT_HERE, name)
        else:
            self.by_file.setdefault(file, []).append((name, label))

    def kept(self) -> dict[Found, tuple[str, str]]:
        """The first row of each file, but for files that have two labels."""
        kept = {}
        for file, rows in self.by_file.items():
            if len({label for _, label in rows}) > 1:
                self._reasons.add(TWO_LABELS, file.name)
                continue
            kept[file] = rows[0]
            self._reasons.add(LISTED_TWICE, *(name for name, _ in rows[1:]))
        return kept


def _last(name: str) -> str:
    return name.rpartition("/")[2]


def _stem(name: str) -> str:
    """A name without the ending of a picture."""
    return name.rpartition(".")[0] if is_picture(name) else name


def _ends_in(file: Found, folder: str) -> bool:
    """Whether a file lies in a folder of that path, or of its last part."""
    return bool(folder) and f"/{file.name.rpartition('/')[0]}".endswith(f"/{_last(folder)}")


def _part(file: Found) -> str:
    """The split that the outermost of a file's folders speaks of, or an empty text."""
    folder, _, rest = file.name.partition("/")
    return (part_of_file(folder) or "") if rest else ""
