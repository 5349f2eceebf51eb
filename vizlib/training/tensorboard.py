"""The events of a training as TensorBoard's event files, in the folder tensorboard/ of the run,
where TensorBoard is installed.
"""

import time
from pathlib import Path
from typing import Any

from vizlib.run.events import EVENTS

PATIENCE = 10  # seconds; importing TensorBoard takes one, in which the first points should be drawn


class TensorBoard:
    """Writes scalars: loss, accuracy and learning rate of both splits, and the gradients' sizes by
    layer.

    layers: the names that gradients are written under. first_step: of a training that is resumed,
    from which on what earlier files hold is undone. What is added is written at the first epoch
    event after some seconds, then at each one, and at the end.
    """

    def __init__(self, folder: Path, layers: list[str]) -> None:
        self.first_step: int | None = None
        self._folder = folder / "tensorboard"
        self._layers = layers
        self._waiting: list[tuple[str, float, int]] = []
        self._writer = None
        self._start = time.monotonic()

    def add(self, event: str, values: dict[str, Any]) -> None:
        """Take an event: "step", "epoch" or "gradients" with its values; others are left out."""
        for name, value in self._scalars(event, values):
            self._waiting.append((name, value, values["step"]))
        if event == "epoch" and time.monotonic() - self._start > PATIENCE:
            self._write()

    def _scalars(self, event: str, values: dict[str, Any]) -> list[tuple[str, float]]:
        """(name, value) of each point that the event draws."""
        scalars = []
        for tag, key in EVENTS[event].tags.items():
            if "{layer}" in tag:
                tags = [tag.format(layer=layer) for layer in self._layers]
                scalars += zip(tags, values[key], strict=True)
            else:
                scalars.append((tag, values[key]))
        return scalars

    def _write(self) -> None:
        if self._writer is None:
            try:
                from torch.utils.tensorboard import SummaryWriter
            except ImportError:
                self._waiting.clear()
                return
            self._writer = SummaryWriter(str(self._folder), purge_step=self.first_step)
        for name, value, step in self._waiting:
            self._writer.add_scalar(name, value, step)
        self._waiting.clear()
        self._writer.flush()

    def close(self) -> None:
        """Write what is left. A disk that is full by now fails the training where it writes its own
        files, not here.
        """
        try:
            if self._waiting:
                self._write()
            if self._writer is not None:
                self._writer.close()
        except OSError:
            pass
