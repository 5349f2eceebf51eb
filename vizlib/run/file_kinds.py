"""What a file is that holds no weights, told by its first bytes, and what to do instead."""

from __future__ import annotations

import codecs
import re
from collections.abc import Iterable
from typing import NoReturn

from vizlib.errors import UserError

SAVE_AGAIN = "Save it again with torch.save(model.state_dict(), 'weights.pt')."
LOOKED_AT = 4096  # bytes of the beginning
_OF_PYTORCH = (
    "Only networks of PyTorch can be opened: torch.save(model.state_dict(), 'weights.pt')."
)
_UNPACK = "Unpack it and take the file of weights that is in it."
_COPY = "Take the file of weights: torch.save(model.state_dict(), 'weights.pt') writes it."
_AS_PICTURE = "Pictures are given to a network once it is open."
_ONNX = (
    "With onnx: torch.save({t.name: torch.tensor(onnx.numpy_helper.to_array(t)) for t in "
    "onnx.load('model.onnx').graph.initializer}, 'weights.pt')."
)
_NPZ = (
    "Make one of it: torch.save({k: torch.tensor(v) for k, v in numpy.load('weights.npz').items()}"
    ", 'weights.pt')."
)
_TORCHSCRIPT = (
    "Save its weights: torch.save(torch.jit.load('model.pt').state_dict(), 'weights.pt')."
)
_EXPORTED = "Save its weights: torch.save(torch.export.load('model.pt2').state_dict, 'weights.pt')."
_SHARDS = (
    "safetensors.torch.save_file({k: v for f in glob.glob('*.safetensors') for k, v in "
    "safetensors.torch.load_file(f).items()}, 'all.safetensors') makes one of them."
)
_SOURCE = (
    "Run it and torch.save(model.state_dict(), 'weights.pt'); it can go with them: python -m "
    "vizlib import weights.pt --module FILE:CLASS."
)
_RAW = "Download the file itself (the raw file, after signing in if asked)."
_LFS = "Run `git lfs pull` and take the file again."
_DRIVE = "Open it in the browser and press Download anyway."
_TABLE = "A model's answers belong on the page Check, a training's history on Training curves."

Kind = tuple[str, str]  # what it is, and what to do
_HDF5: Kind = ("an HDF5 file, as Keras writes them (.h5)", _OF_PYTORCH)
_SAVED_MODEL: Kind = ("a TensorFlow model (SavedModel or graph)", _OF_PYTORCH)
_CORE_ML: Kind = ("a Core ML model", _OF_PYTORCH)
_OFFICE: Kind = ("an Office document", _COPY)

# what has these bytes at a place
_MAGIC: tuple[tuple[int, bytes, Kind], ...] = (
    (0, b"version https://git-lfs", ("a Git-LFS pointer to one", _LFS)),
    (0, b"\x89HDF\r\n\x1a\n", _HDF5),
    (4, b"TFL3", ("a TensorFlow Lite model", _OF_PYTORCH)),
    (4, b"ET12", ("a program of ExecuTorch", _COPY)),
    (0, b"GGUF", ("a GGUF file, a language model", _OF_PYTORCH)),
    (0, b"\x93NUMPY", ("one NumPy array, without the names of tensors", _COPY)),
    (257, b"ustar", ("a tar archive", _UNPACK)),
    (0, b"\x1f\x8b", ("a gzip archive", _UNPACK)),
    (0, b"7z\xbc\xaf\x27\x1c", ("a 7z archive", _UNPACK)),
    (0, b"Rar!\x1a\x07", ("a RAR archive", _UNPACK)),
    (0, b"\xfd7zXZ\x00", ("an xz archive", _UNPACK)),
    (0, b"BZh", ("a bzip2 archive", _UNPACK)),
    (0, b"\x28\xb5\x2f\xfd", ("a zstd archive", _UNPACK)),
    (0, b"PK\x05\x06", ("an empty zip archive", _COPY)),
    (0, b"PK\x07\x08", ("a part of a zip archive in several files", _UNPACK)),
    (0, b"%PDF", ("a PDF document", _COPY)),
    (0, b"\x89PNG", ("a picture (PNG)", _AS_PICTURE)),
    (0, b"\xff\xd8\xff", ("a picture (JPEG)", _AS_PICTURE)),
    (0, b"GIF8", ("a picture (GIF)", _AS_PICTURE)),
    (8, b"WEBP", ("a picture (WebP)", _AS_PICTURE)),
    (0, b"II*\x00", ("a picture (TIFF)", _AS_PICTURE)),
    (0, b"MM\x00*", ("a picture (TIFF)", _AS_PICTURE)),
    (0, b"BM", ("a picture (BMP)", _AS_PICTURE)),
    (4, b"ftyp", ("a film, or a picture of a telephone", _COPY)),
    (0, b"\x7fELF", ("a compiled program (ELF)", _COPY)),
    (0, b"MZ", ("a Windows program", _COPY)),
    (0, b"SQLite format 3", ("an SQLite database", _COPY)),
    (0, b"PAR1", ("a Parquet table", _TABLE)),
    (0, b"ARROW1", ("an Arrow table", _TABLE)),
    (0, b"MATLAB", ("a MATLAB file", _OF_PYTORCH)),
    (0, b"\xd0\xcf\x11\xe0", _OFFICE),
)
# what begins so
_BEGINNINGS: tuple[tuple[bytes, Kind], ...] = (
    (rb".{8,100}brain\.Event:", ("a TensorBoard event file", "The page Training curves shows it.")),
    (rb"\x08\x01\x12.{1,4}\n", _SAVED_MODEL),
    (rb"\n.{1,4}\n.*(Placeholder|Const|VarHandleOp)", _SAVED_MODEL),
    (rb"\x08[\x01-\x0f]\x12.{1,3}\n.{1,3}\n", _CORE_ML),
    (rb"\x08[\x03-\x20](\x12[\x00-\x7f][ -~]|:|\x1a)", ("an ONNX model", _ONNX)),
    (rb"\x00{4}[\x01\x02]\x00{3}[\x00-\x05]\x00{3}", ("a file of Darknet (YOLO)", _OF_PYTORCH)),
    (rb"\x80[\x02-\x05]", ("a Python pickle, which could run code", SAVE_AGAIN)),
)
# texts that begin so
_TEXTS: tuple[tuple[str, Kind], ...] = (
    (r"<.*google drive.*(virus|scan)", ("a page of Google Drive that warns of viruses", _DRIVE)),
    (r"<(!doctype|html|head|body|\?xml|!--|script)", ("a web page", _RAW)),
    (r"\{.*\"(cells|nbformat)\"", ("a notebook", _COPY)),
    (r"\{.*\"(weight_map|total_size)\"", ("the index of weights in several files", _SHARDS)),
    (r"\{.*\"(log_history|best_metric)\"", ("the history of a training", _TABLE)),
    (r"[\[{]", ("a JSON file", _COPY)),
    (r"(.*\n)?(import \w|from [\w.]+ import |def \w+\(|class \w+)", ("Python source", _SOURCE)),
    (r"([^\n,]*)(,[^\n,]*)+\r?\n[^\n]*,", ("a table (CSV)", _TABLE)),
    (r"(#[^\n]*\n)*(---|[\w.-]+:( |\r?\n))", ("a YAML file", _COPY)),
    (r".", ("a text file", _COPY)),
)
# zip archives in which something is called so, if PyTorch wrote them, and if it did not
_PROGRAMS: tuple[tuple[str, Kind], ...] = (
    (r"(.*/)?(constants\.pkl|code/.*)", ("a TorchScript program", _TORCHSCRIPT)),
    (
        r"(.*/)?(archive_format|serialized_exported_program\.json|models/[^/]*\.json)",
        ("a program of torch.export", _EXPORTED),
    ),
    (r"(.*/)?\.data/extern_modules", ("a package of torch.package, with code", SAVE_AGAIN)),
)
_MEMBERS: tuple[tuple[str, Kind], ...] = (
    (r"(.*/)?model\.weights\.h5", ("a Keras model (.keras)", _OF_PYTORCH)),
    (r"(.*/)?saved_model\.pb", _SAVED_MODEL),
    (r"(.*/)?(com\.apple\.CoreML/.*|[^/]*\.mlmodel)", _CORE_ML),
    (r"\[Content_Types\]\.xml", _OFFICE),
    (r"META-INF/.*|AndroidManifest\.xml", ("a Java program", _COPY)),
    (r"[^/]*\.npy", ("a NumPy archive (.npz)", _NPZ)),
    (r".*\.(pth?|ckpt|safetensors|th|tar|pkl|onnx|h5)", ("a zip archive", _UNPACK)),
    (r".*\.(png|jpe?g|webp|bmp|tiff?)", ("a zip of pictures", "The page Data takes it.")),
)


def shown(name: object, letters: int = 60) -> str:
    """A text from a file, fit for a message: short, and without control characters."""
    text = str(name)
    short = text if len(text) <= letters else f"{text[: letters - 3]}..."
    return "".join(letter if letter.isprintable() else "?" for letter in short)


def refuse(data: bytes) -> NoReturn:
    """UserError, by what it is, for a file that is none of those that hold tensors."""
    beginning = data[:LOOKED_AT]
    text = _as_text(beginning)
    for start, magic, kind in _MAGIC:
        if beginning.startswith(magic, start):
            _refuse(kind)
    for pattern, kind in _BEGINNINGS:
        if re.match(pattern, beginning, re.DOTALL):
            _refuse(kind)
    for pattern, kind in _TEXTS:
        if re.match(pattern, text, re.DOTALL | re.IGNORECASE):
            _refuse(kind)
    raise UserError(f"This is not a PyTorch or safetensors file. {SAVE_AGAIN}")


def _as_text(beginning: bytes) -> str:
    """The beginning of a file as text; empty if it is none."""
    try:
        # a letter may be cut off at the end
        text = codecs.getincrementaldecoder("utf-8-sig")().decode(beginning)
    except UnicodeDecodeError:
        return ""
    is_text = all(letter.isprintable() or letter in "\t\r\n\f" for letter in text)
    return text.strip() if is_text else ""


def refuse_programs(names: Iterable[str]) -> None:
    """UserError for a zip archive of PyTorch that holds a program, told by the names in it."""
    _refuse_any(names, _PROGRAMS)


def refuse_members(names: Iterable[str]) -> None:
    """UserError for a zip archive of something else that the names in it tell."""
    _refuse_any(names, _MEMBERS)


def _refuse_any(names: Iterable[str], kinds: Iterable[tuple[str, Kind]]) -> None:
    for pattern, kind in kinds:
        if any(re.fullmatch(pattern, name, re.DOTALL | re.IGNORECASE) for name in names):
            _refuse(kind)


def _refuse(kind: Kind) -> NoReturn:
    what, how = kind
    raise UserError(f"This is not a PyTorch or safetensors file of weights but {what}. {how}")
