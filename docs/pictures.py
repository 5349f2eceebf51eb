"""Makes the pictures that ship, from the whole data sets and the stored answers of the networks
that ship:

    PYTHONPATH=. python docs/pictures.py choose             both lots, into vizlib/shipped_pictures/
    PYTHONPATH=. python docs/pictures.py index RUN [RUN]    which of them excite a run's units most

How they are chosen, with no chance in it: each class gets the same number of pictures, or all it
has. Half of them are mistakes: first the pictures that together fill the most cells of wrong
answers that have none yet, over all networks' matrices, of equal ones the more confident mistake;
then, network by network, its most confident mistake that is not taken yet. The other half are
evenly spaced among the rest, in the order of the test images.
"""

import argparse
import json
from itertools import cycle

import numpy as np
from PIL import Image

from vizlib import datasets
from vizlib.datasets import shipped
from vizlib.inside import strongest
from vizlib.run import folders
from vizlib.run.folders import open_run
from vizlib.run.predictions import load_predictions

CIFAR10 = dict(
    source="CIFAR-10, https://www.cs.toronto.edu/~kriz/cifar.html: 500 of rows 45,000 to 49,999 of "
    "the official training set, which the networks that ship were never trained on.",
    citation="Alex Krizhevsky, Learning Multiple Layers of Features from Tiny Images, 2009.",
    licence="Its makers state none; they ask for the citation.",
    changes="None: these are the official pixels.",
)
# name: (how many, the data set, others that have some of its pictures, what is said of them)
LOTS = {
    "cifar10": (500, "cifar10", ["cifar10-imbalanced"], CIFAR10),
}


def choose(name):
    """Write NAME.webp and NAME.json of one lot."""
    count, data, others, words = LOTS[name]
    by_name = {each: datasets.load(each) for each in (data, *others)}
    test = by_name[data].splits["test"]
    numbers = chosen(test.labels, test.image_ids, wrong_answers(by_name), count)
    split, (height, width) = test.take(numbers), by_name[data].image_size[1:]
    channels = split.pictures[0].shape[2]
    pictures = split.images((channels, height, width)).transpose(0, 2, 3, 1)
    facts = {
        **words,
        "chosen": "half of them because networks get them wrong",
        "size": [height, width],
        "serves": {each: served(by_name[each], channels, split) for each in by_name},
        "labels": split.labels.tolist(),
        "image_ids": split.image_ids.tolist(),
    }
    path = shipped.FOLDER / f"{name}.json"
    path.write_text(json.dumps(facts, indent=1) + "\n", encoding="utf-8")
    sheet_of(pictures, path.with_suffix(".webp"))
    print(f"{name}: {len(numbers)} pictures, {path.with_suffix('.webp').stat().st_size:,} bytes")


def served(dataset, channels, split):
    """What is kept of a data set that some of the pictures are of."""
    of = dataset.splits["test"].image_ids
    facts = dict(
        note=dataset.note,
        of=len(of),
        class_names=dataset.class_names,
        mean=dataset.mean[:channels],
        std=dataset.std[:channels],
        ordered=dataset.ordered,
        mirrors=dataset.mirrors,
        official=dataset.official,
    )
    here = [str(image_id) for image_id in split.image_ids[np.isin(split.image_ids, of)]]
    return facts if len(here) == len(split) else facts | {"image_ids": here}


def sheet_of(pictures, path):
    """Write pictures, uint8 (N, H, W, C), as one lossless sheet that is nearly square."""
    count, height, width, channels = pictures.shape
    across = next(n for n in range(round(count**0.5), 0, -1) if count % n == 0)
    sheet = pictures.reshape(count // across, across, height, width, channels)
    sheet = sheet.transpose(0, 2, 1, 3, 4).reshape(count // across * height, -1, channels)
    picture = Image.fromarray(sheet if channels == 3 else sheet[..., 0])
    picture.save(path, "WEBP", lossless=True, quality=100, method=6)


def wrong_answers(by_name):
    """Of each shipped network on one of these data sets, by the order of their names, the ids of
    the images that it got wrong, with (the class it took each for, how sure it was). Networks with
    the same answers count once.
    """
    found = []
    for run_id in folders.SHIPPED.iterdir():
        run = open_run(run_id.name)
        if run.config.dataset not in by_name or not run.has("predictions.npz"):
            continue
        answers = load_predictions(run.path("predictions.npz"), len(run.class_names))
        taken, sure = answers.predicted_labels, answers.probabilities.max(axis=1)
        wrong = np.flatnonzero(taken != answers.labels)
        of_run = {str(answers.image_ids[n]): (int(taken[n]), float(sure[n])) for n in wrong}
        found.append((run.run_id, of_run))
    distinct = []
    for _, of_run in sorted(found, key=lambda pair: pair[0]):
        if of_run not in distinct:
            distinct.append(of_run)
    return distinct


def chosen(labels, image_ids, wrong, count):
    """The image numbers of the pictures, ascending. wrong: as from wrong_answers."""
    wrong = [
        {n: of_run[str(image_id)] for n, image_id in enumerate(image_ids) if image_id in of_run}
        for of_run in wrong
    ]
    numbers = []
    for label, share in enumerate(shares(np.bincount(labels), count)):
        of_class = np.flatnonzero(labels == label)
        mistakes = mistakes_of(set(of_class.tolist()), wrong, share // 2)
        rest = np.setdiff1d(of_class, mistakes)
        spaced = np.linspace(0, len(rest) - 1, share - len(mistakes)).round().astype(int)
        numbers += [*mistakes, *rest[spaced].tolist()]
    return np.sort(numbers)


def shares(counts, count):
    """How many of each class: equally many, or all that there are, `count` together."""
    shares, labels = np.zeros(len(counts), int), cycle(range(len(counts)))
    while shares.sum() < count:
        label = next(labels)
        shares[label] += shares[label] < counts[label]
    return shares.tolist()


def mistakes_of(of_class, wrong, count):
    """Image numbers of up to `count` mistakes among the images of a class."""
    wrong = [{n: answer for n, answer in of_run.items() if n in of_class} for of_run in wrong]
    cells = {(run, taken) for run, of_run in enumerate(wrong) for taken, _ in of_run.values()}
    fills = {n: {(run, w[n][0]) for run, w in enumerate(wrong) if n in w} for n in of_class}
    surest = {n: max((w[n][1] for w in wrong if n in w), default=0) for n in of_class}
    numbers = []
    while cells and len(numbers) < count:
        best = max(of_class, key=lambda n: (len(fills[n] & cells), surest[n], -n))
        numbers.append(best)
        cells -= fills[best]
    queues = [sorted(w, key=lambda n, w=w: (-w[n][1], n)) for w in wrong]
    while len(numbers) < count and any(queues):
        for queue in queues:
            left = [n for n in queue if n not in numbers]
            queue[:] = left[1:]
            numbers += left[: min(1, count - len(numbers))]
    return numbers


def index(run_id):
    """Write a run's strongest-shipped.safetensors, whether or not the whole data set is here."""
    run = open_run(run_id)
    dataset = datasets.in_terms_of(run.config, shipped.read(run.config.dataset))
    path = run.path(strongest.FILE_OF_SHIPPED)
    found = strongest.of_run(run, dataset)
    print(f"{run_id}: {len(found.layer_names)} layers, {path.stat().st_size:,} bytes in {path}")


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("choose").add_argument("lots", nargs="*", default=list(LOTS))
    commands.add_parser("index").add_argument("runs", nargs="+")
    options = parser.parse_args()
    if options.command == "choose":
        for name in options.lots:
            choose(name)
    else:
        for run_id in options.runs:
            index(run_id)


if __name__ == "__main__":
    main()
