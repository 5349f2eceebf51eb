"""The events of a training as TensorBoard's event files, in the folder tensorboard/ of the run, where TensorBoard is installed."""


class TensorBoard:
    """Writes scalars: loss, accuracy and learning rate of both splits, and the gradients' sizes by layer.

    first_step: of a training that is resumed, from which on what earlier files hold is undone. It is opened at the first epoch event, not before: importing TensorBoard takes a second, in which the first points should be drawn.
    """

    def __init__(self, folder, layers):
        self._folder, self._layers, self._waiting, self._writer, self.first_step = folder / "tensorboard", layers, [], None, None

    def add(self, event, row):
        """Take an event: "step", "epoch" or "gradients" with its values; others are left out."""
        for name, value in self._scalars(event, row):
            self._waiting.append((name, value, row["step"]))
        if event == "epoch":
            self._write()

    def _scalars(self, event, row):
        if event == "step":
            return [("loss/training", row["train_loss"]), ("accuracy/training", row["train_accuracy"]), ("learning_rate", row["learning_rate"])]
        if event == "epoch":
            return [("loss/validation", row["val_loss"]), ("accuracy/validation", row["val_accuracy"])]
        return [(f"gradient/{layer}", norm) for layer, norm in zip(self._layers, row["norms"])] if event == "gradients" else []

    def _write(self):
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

    def close(self):
        if self._writer is not None:
            self._write()
            self._writer.close()
