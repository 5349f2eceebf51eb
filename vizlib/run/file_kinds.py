"""What a file is that holds no weights, told by its first bytes, and what to do instead."""

from __future__ import annotations

from vizlib.errors import UserError

SAVE_AGAIN = "Save it again with torch.save(model.state_dict(), 'weights.pt')."


def shown(name: object, letters: int = 60) -> str:
    """A text from a file, fit for a message: short, and without control characters."""
    text = str(name)
    short = text if len(text) <= letters else f"{text[: letters - 3]}..."
    return "".join(letter if letter.isprintable() else "?" for letter in short)


def refuse_stand_in(beginning: bytes) -> None:
    """UserError for what is downloaded instead of weights."""
    if beginning.startswith(b"version https://git-lfs"):
        raise UserError(
            "This is a Git-LFS pointer, not the weights themselves. Run `git lfs pull` and "
            "take the file again."
        )
    text = beginning.lstrip(b"\xef\xbb\xbf \t\r\n").lower()
    if text.startswith((b"<!doctype html", b"<html", b"<?xml")):
        raise UserError(
            "This is a web page, not weights. Download the file itself (the raw file, after "
            "signing in if asked)."
        )
