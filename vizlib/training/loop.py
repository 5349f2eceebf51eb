"""The training loop, top to bottom. It knows nothing of the network or the data set, and writes a run folder as it goes."""

import platform
import time

import numpy as np
import torch
import torch.nn.functional as F

from vizlib import architectures, datasets
from vizlib.errors import UserError
from vizlib.predictions import Predictions, load_predictions, predict, save_predictions
from vizlib.runs import Run, write_json
from vizlib.training.batches import Batches
from vizlib.training.events import EventLog
from vizlib.training.recipes import Recipe, learning_rate
from vizlib.weights import load_into, load_weights, save_weights


def make_config(architecture, dataset, recipe, *, seed=0, validation=None, title=""):
    """The configuration of a new run: all that is needed to build, train and evaluate it again.

    architecture: a registered name. dataset: a loaded Dataset. validation: how many training images are held out to choose the
    best epoch (default: a tenth, at most 1,000), unless the data set brings a split for that.
    """
    found = architectures.get(architecture)
    # A network for large pictures gets them in its own size; small networks take the pictures as they are.
    side = found.input_size[1:] if found.input_size[1] > 64 else dataset.image_size[1:]
    if "image_size" in found.arguments:  # its linear layers count on a square
        side = (min(side), min(side))
    input_size = (dataset.image_size[0], *side)
    return {
        "title": title or architecture,
        "architecture": architecture,
        "arguments": found.arguments_for(len(dataset.class_names), input_size),
        "dataset": dataset.name,
        "dataset_note": dataset.note,
        "ordered": dataset.ordered,
        "class_names": list(dataset.class_names),
        "input_size": list(input_size),
        "mean": dataset.mean,
        "std": dataset.std,
        "validation": min(1000, len(dataset.splits["train"]) // 10) if validation is None else validation,
        "recipe": vars(recipe),
        "seed": seed,
        "versions": {"torch": torch.__version__, "python": platform.python_version()},
    }


def train(folder, config, dataset=None, *, device="cpu", say=print):
    """Train a network as `config` says and write everything into `folder`, which must not hold a run yet.

    Validation images are drawn from the training images by seed; the best epoch is chosen on them, and the test images are looked
    at once, at the end, through the weights as they were saved. dataset: the one that config names, if it is loaded already.
    Returns the Run.
    """
    if (folder / "config.json").exists():
        raise UserError(f"{folder} holds a run already: choose another name, or remove it.")
    dataset = dataset or datasets.load_for(config)
    _splits(dataset, config)  # what is not possible is refused before anything is written
    architectures.create(config["architecture"], **config["arguments"])
    folder.mkdir(parents=True, exist_ok=True)
    write_json(folder / "config.json", config)
    log = EventLog(folder)
    try:
        _train(folder, config, dataset, log, device, say)
    except KeyboardInterrupt:
        log.write("stopped", reason="Stopped by hand; the best weights so far are kept.")
        raise
    except Exception as error:
        log.write("failed", reason=_reason(error))
        raise
    finally:
        log.close()
    return Run(folder, config)


def _train(folder, config, dataset, log, device, say):
    torch.manual_seed(config["seed"])
    recipe, size, mean, std = Recipe(**config["recipe"]), config["input_size"], config["mean"], config["std"]
    training, validation = _splits(dataset, config)
    model = architectures.create(config["architecture"], **config["arguments"]).to(device, memory_format=torch.channels_last)
    generator = torch.Generator(device).manual_seed(config["seed"])
    images, labels = torch.from_numpy(training.images(size)).to(device), torch.from_numpy(training.labels).to(device)
    batches = Batches(images, labels, mean, std, batch_size=recipe.batch_size, augment=recipe.augment, mirrors=dataset.mirrors, generator=generator)
    held_out = validation.images(size)
    optimiser, snapshots = _optimiser(model, recipe), Snapshots(folder, model)
    total_steps, step, best, start = recipe.epochs * len(batches), 0, -1.0, time.perf_counter()
    log.write(
        "started",
        device=_device_name(device),
        parameters=sum(parameter.numel() for parameter in model.parameters()),
        train_images=len(training),
        val_images=len(validation),
        test_images=len(dataset.splits["test"]),
        train_counts=np.bincount(training.labels, minlength=len(config["class_names"])).tolist(),
        steps=total_steps,
    )
    snapshots.take(0)

    for epoch in range(1, recipe.epochs + 1):
        model.train()
        epoch_loss, epoch_right, since_loss, since_images = 0.0, 0, 0.0, 0
        for batch_images, batch_labels in batches:
            rate = learning_rate(recipe, step / total_steps)
            for group in optimiser.param_groups:
                group["lr"] = rate
            with torch.autocast(torch.device(device).type, dtype=torch.bfloat16, enabled=_bfloat16_pays(device)):
                logits = model(batch_images)
            loss = F.cross_entropy(logits.float(), batch_labels, label_smoothing=recipe.label_smoothing)
            optimiser.zero_grad(set_to_none=True)
            loss.backward()
            optimiser.step()
            step += 1
            count = len(batch_labels)
            epoch_loss, since_loss = epoch_loss + loss.detach() * count, since_loss + loss.detach() * count
            epoch_right, since_images = epoch_right + (logits.detach().argmax(1) == batch_labels).sum(), since_images + count
            if snapshots.is_due(step):
                snapshots.take(step)
            if log.step_is_due(step, total_steps):
                value = float(since_loss) / since_images
                log.write("step", step=step, epoch=_rounded(step / len(batches)), train_loss=_rounded(value), learning_rate=rate, seconds=_since(start))
                since_loss, since_images = 0.0, 0
        train_loss = float(epoch_loss) / len(training)
        val_loss, val_accuracy, confusion = _score(predict(model, held_out, mean, std), validation.labels)
        if not np.isfinite([train_loss, val_loss]).all():
            raise UserError(f"The loss is not a number after {step} steps: the training has diverged. A smaller learning rate than {recipe.learning_rate} may help.")
        row = dict(epoch=epoch, step=step, train_loss=_rounded(train_loss), train_accuracy=_rounded(float(epoch_right) / len(training)))
        row |= dict(val_loss=_rounded(val_loss), val_accuracy=_rounded(val_accuracy), learning_rate=rate, seconds=_since(start), confusion=confusion)
        log.write("epoch", **row)
        say(
            f"epoch {epoch:3d}/{recipe.epochs}  train loss {train_loss:.3f} accuracy {row['train_accuracy']:.3f}  "
            f"validation loss {val_loss:.3f} accuracy {val_accuracy:.3f}  {_since(start):.0f} s"
        )
        if val_accuracy > best:
            best = val_accuracy
            save_weights(model.state_dict(), folder / "model.safetensors")
            log.write("checkpoint", epoch=epoch, step=step, val_accuracy=row["val_accuracy"], seconds=_since(start))

    seconds = _since(start)
    snapshots.take(step)
    save_predictions(folder / "predictions.npz", evaluate(folder, config, dataset, device))
    predictions = load_predictions(folder / "predictions.npz", len(config["class_names"]))  # what is stored is what is reported
    log.write("finished", test_accuracy=_rounded(predictions.accuracy), seconds=seconds)
    say(f"test accuracy {predictions.accuracy:.4f} of the best epoch, {seconds:.0f} s of training")


def evaluate(folder, config, dataset, device="cpu"):
    """The Predictions of the saved weights on the test images of a data set."""
    model = architectures.create(config["architecture"], **config["arguments"])
    load_into(model, load_weights(folder / "model.safetensors"))
    split = dataset.splits["test"]
    logits = predict(model.to(device), split.images(config["input_size"]), config["mean"], config["std"])
    return Predictions(split.labels, logits, split.image_ids)


class Snapshots:
    """conv1's weights at log-spaced steps, float16, in snapshots.safetensors under "conv1/STEP": how the filters formed."""

    def __init__(self, folder, model):
        self._path, self._taken = folder / "snapshots.safetensors", {}
        self._weight = next((weight for weight in model.parameters() if weight.ndim == 4), None)

    def is_due(self, step):
        """At 1, 2, 4, 8, ... and halfway between from 8 on."""
        power = 1 << (step.bit_length() - 1)
        return step == power or (step >= 8 and step == power + power // 2)

    def take(self, step):
        if self._weight is not None and self._weight.isfinite().all():  # one ruined snapshot would make the file unreadable
            self._taken[f"conv1/{step:08d}"] = self._weight.detach().clone()
            save_weights(self._taken, self._path)


def _reason(error):
    """An exception as one sentence."""
    if isinstance(error, UserError):
        return str(error)
    first_line = (str(error).splitlines() or ["no message"])[0][:200]
    return f"{type(error).__name__}: {first_line.rstrip('.')}."


def _splits(dataset, config):
    if "val" in dataset.splits:
        return dataset.splits["train"], dataset.splits["val"]
    return datasets.hold_out(dataset.splits["train"], config["validation"], config["seed"])


def _optimiser(model, recipe):
    """Weight decay acts on weights only: biases and normalisation are left alone, as is usual since He et al. 2019."""
    decayed = [parameter for parameter in model.parameters() if parameter.ndim > 1]
    others = [parameter for parameter in model.parameters() if parameter.ndim <= 1]
    groups = [{"params": decayed, "weight_decay": recipe.weight_decay}, {"params": others, "weight_decay": 0.0}]
    if recipe.optimiser == "adamw":
        return torch.optim.AdamW(groups, lr=recipe.learning_rate, fused=True)
    return torch.optim.SGD(groups, lr=recipe.learning_rate, momentum=recipe.momentum, nesterov=recipe.nesterov, fused=True)


def _bfloat16_pays(device):
    return torch.cuda.is_bf16_supported() if torch.device(device).type == "cuda" else torch.cpu._is_avx512_bf16_supported()


def _device_name(device):
    return torch.cuda.get_device_name(device) if torch.device(device).type == "cuda" else f"CPU, {torch.get_num_threads()} threads"


def _score(logits, labels):
    """Mean loss, accuracy and the confusion matrix (K, K) as lists, of logits (N, K)."""
    from sklearn.metrics import confusion_matrix

    loss = F.cross_entropy(torch.from_numpy(logits), torch.from_numpy(labels)).item()
    predicted = logits.argmax(axis=1)
    confusion = confusion_matrix(labels, predicted, labels=np.arange(logits.shape[1]))
    return loss, float(np.mean(predicted == labels)), confusion.tolist()


def _rounded(value):
    return round(float(value), 5)


def _since(start):
    return round(time.perf_counter() - start, 2)
