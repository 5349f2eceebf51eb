"""Writes docs/results.md, and its picture of four matrices, from the run folders: PYTHONPATH=.
python docs/results.py

The picture needs what requirements-dev.txt lists, and chromium.
"""

import shutil
import tempfile
from itertools import pairwise
from pathlib import Path

import numpy as np

from vizlib import architectures
from vizlib.displays.confusion import ConfusionDisplay
from vizlib.reports.systems import AS_REPORTED, SYSTEMS, finished_runs, table
from vizlib.run.predictions import load_predictions
from vizlib.run.verdict import HEALTHY, judge_run
from vizlib.training.recipes import from_config

DOCS = Path(__file__).resolve().parent
GRADED = {
    "C18": "ResNet-18, from scratch",
    "C50": "ResNet-50, from scratch",
    "C18P": "ResNet-18, pretrained",
    "C50P": "ResNet-50, pretrained",
}
SETTINGS = (
    "optimiser",
    "learning_rate",
    "momentum",
    "weight_decay",
    "schedule",
    "batch_size",
    "epochs",
    "label_smoothing",
    "clip",
    "augment",
)
NOT_YET = "*not yet run*"


def run_of(system_id):
    return next(iter(finished_runs(SYSTEMS[system_id])), None)


def accuracy(system_id):
    run = run_of(system_id)
    return f"{run.events_of('finished')[-1]['test_accuracy']:.1%}" if run else NOT_YET


def parameters(system_id):
    run = run_of(system_id)
    return f"{run.events_of('started')[-1]['parameters']:,}" if run else NOT_YET


def per_parameter(system_id, other):
    """How many of the other's parameters this one has."""
    ours, theirs = (
        run.events_of("started")[-1]["parameters"] if (run := run_of(id)) else None
        for id in (system_id, other)
    )
    return f"{ours / theirs:.1%}" if ours and theirs else NOT_YET


def answers(run):
    return load_predictions(run.path("predictions.npz"), len(run.class_names))


def copies():
    """Which copies of the data were tested on, each once."""
    runs = [run for run in map(run_of, SYSTEMS) if run]
    return "\n".join(
        f"- `{dataset}`: {note}"
        for dataset, note in sorted({(run.config.dataset, run.config.dataset_note) for run in runs})
    )


def recipes():
    """A row for each system that has been trained: the settings as its run folder has them."""
    lines = [
        "| id | recipe | " + " | ".join(key.replace("_", " ") for key in SETTINGS) + " | remarks |",
        "|---" * (len(SETTINGS) + 3) + "|",
    ]
    for system_id in SYSTEMS:
        run = run_of(system_id)
        if run:
            recipe = from_config(run.config)
            remarks = [
                key.replace("_", " ")
                for key in ("nesterov", "class_weights", "balanced", "augment_only_rare", "growing")
                if getattr(recipe, key)
            ]
            remarks += (
                [f"× {recipe.decay:.2g} every {recipe.decay_every} epochs"]
                if recipe.schedule == "steps"
                else []
            )
            remarks += [f"starts from `{run.config.start['run']}`"] if run.config.start else []
            lines.append(
                f"| {system_id} | `{recipe.name}` | "
                + " | ".join(written(getattr(recipe, key)) for key in SETTINGS)
                + f" | {', '.join(remarks)} |"
            )
    return "\n".join(lines)


def written(value):
    if isinstance(value, bool):
        return "yes" if value else "no"
    return f"{value:g}" if isinstance(value, float) else str(value)


def three_forms():
    runs = [run_of(system_id) for system_id in ("A1", "A2", "A3")]
    if not all(runs):
        return NOT_YET
    first, *others = [answers(run).logits for run in runs]
    same = all(np.array_equal(first, other) for other in others)
    spread = (
        "every logit of every test image is equal to the last bit"
        if same
        else (
            "their logits differ by at most "
            f"{max(np.abs(first - other).max() for other in others):.2g}"
        )
    )
    return (
        f"From one seed, on one thread, {spread}: {accuracy('A1')} of the test images right, "
        "three times."
    )


def verdict_on(system_id):
    """The Verdict on a system's run; None where there is none."""
    run = run_of(system_id)
    return judge_run(run) if run else None


def grades():
    """How each row of C answers the test images."""
    lines = [
        "| id | what | accuracy | balanced accuracy | kappa | never answers | verdict |",
        "|---|---|---:|---:|---:|---|---|",
    ]
    for system_id, system in SYSTEMS.items():
        verdict = verdict_on(system_id) if system_id.startswith("C") else None
        if verdict:
            cells = (
                f"`{system.architecture}`, {system.title[0].lower()}{system.title[1:]}",
                f"{verdict.accuracy:.3f}",
                f"{verdict.balanced_accuracy:.3f}",
                f"{verdict.kappa:.3f}",
                ", ".join(verdict.never_predicted) or "–",
                verdict.level,
            )
            lines.append(f"| {system_id} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def story():
    """What became of two networks by two starts, and whether that is what was reported."""
    verdicts = {system_id: verdict_on(system_id) for system_id in GRADED}
    if not all(verdicts.values()):
        return NOT_YET
    levels = {id: verdict.level for id, verdict in verdicts.items()}
    best = {
        measure: max(verdicts, key=lambda id: getattr(verdicts[id], measure))
        for measure in ("accuracy", "balanced_accuracy", "kappa")
    }
    words = [
        f"by {measure.replace('_', ' ')} {id} ({getattr(verdicts[id], measure):.3f})"
        for measure, id in best.items()
    ]
    agrees = sum(id == "C50P" for id in best.values())
    return (
        f"From scratch ResNet-18 has {levels['C18']} and ResNet-50 has {levels['C50']}; pretrained "
        f"ResNet-18 has {levels['C18P']} and ResNet-50 has {levels['C50P']}. The best of these "
        f"four is {', '.join(words)}. The report found the pretrained ResNet-50 (C50P) best: here "
        f"{('none', 'one', 'two', 'all')[agrees]} of the three measures "
        f"agree{'s' if agrees == 1 else ''}."
    )


def remedies():
    """What was done against the collapse, and whether it helped."""
    levels = {
        id: verdict.level
        for id in SYSTEMS
        if id.startswith("C") and id not in GRADED and (verdict := verdict_on(id))
    }
    helped = [id for id, level in levels.items() if level == HEALTHY]
    not_helped = [f"{id} ({level})" for id, level in levels.items() if level != HEALTHY]
    return (
        f"Of what was done against it from scratch, this helped: {', '.join(helped) or 'nothing'}; "
        f"this did not: {', '.join(not_helped) or 'nothing'}."
    )


def always_the_commonest():
    """What the accuracy is worth there."""
    verdict = verdict_on("C18")
    if not verdict:
        return NOT_YET
    return (
        f"Always answering grade 0 would be right for {verdict.majority_share:.1%} of the test "
        "images: an accuracy near that says nothing, and a new training on such images chooses its "
        "best epoch by the balanced accuracy."
    )


def by_heart():
    """What the network from scratch knows of the pictures that it learned from when it is trained
    twice as long, and of others.
    """
    run, verdict = run_of("C18L"), verdict_on("C18L")
    if not run or not verdict:
        return NOT_YET
    last = run.events_of("epoch")[-1]
    return (
        f"With twice as many epochs (C18L) ResNet-18 from scratch has {verdict.level}, and learns "
        f"by heart: {last['train_accuracy']:.0%} of the pictures that it learned from are right at "
        f"the end, {last['val_accuracy']:.0%} of those held out."
    )


def what_a_recipe_buys():
    """The same networks in as many epochs, trained as their reports say and as here."""
    lines = [
        "| id | network | epochs | reported | its report's recipe, here | ours | gained, points |",
        "|---|---|---:|---|---:|---:|---:|",
    ]
    for system_id in (id for id in SYSTEMS if id.endswith(AS_REPORTED)):
        of_report, ours = run_of(system_id), run_of(system_id.removesuffix(AS_REPORTED))
        if of_report and ours:
            system = SYSTEMS[system_id.removesuffix(AS_REPORTED)]
            reached = [run.events_of("finished")[-1]["test_accuracy"] for run in (of_report, ours)]
            lines.append(
                f"| {system.id} | `{system.architecture}` | {system.epochs} | {system.told} | "
                f"{reached[0]:.1%} | {reached[1]:.1%} | {100 * (reached[1] - reached[0]):.1f} |"
            )
    return "\n".join(lines)


def sizes():
    lines = ["| id | network | parameters | test accuracy |", "|---|---|---:|---:|"]
    lines += [
        (
            f"| {id} | {architectures.get(system.architecture).summary} | {parameters(id)} | "
            f"{accuracy(id)} |"
        )
        for id, system in SYSTEMS.items()
        if id[0] in "BEF" and not id.endswith(AS_REPORTED)
    ]
    return "\n".join(lines)


def growth():
    """What an epoch took at each size, as the late-pool network's run folder has it."""
    run = run_of("D1")
    if not run:
        return NOT_YET
    epochs = run.events_of("epoch")
    times, looks = [], []
    for event, after in pairwise([*run.events_of("pictures"), epochs[-1]]):
        passed, side = after["epoch"] - event["epoch"], event["width"]
        times.append(
            f"{passed:.2g} epochs at {side} × {side} pixels, "
            f"{(after['seconds'] - event['seconds']) / passed / 60:.1f} minutes each"
        )
        looked_at = [past for past in epochs if past["epoch"] <= after["epoch"]][-1]
        looks.append(f"{looked_at['val_accuracy']:.0%}")
    return (
        f"{'; '.join(times)}. Its accuracy on the held-out images, which are whole throughout, "
        f"was {', '.join(looks)} when last looked at in each size."
    )


def picture():
    """Draw the report's figure: two networks by two starts."""
    runs = {system_id: run_of(system_id) for system_id in GRADED}
    from playwright.sync_api import sync_playwright
    from screenshots import SWITCHES, save

    cells = []
    for system_id, run in runs.items():
        figure = ConfusionDisplay.from_predictions(answers(run), run.class_names).plot(narrow=True)
        figure.update_layout(width=520, paper_bgcolor="white", plot_bgcolor="white")
        chart = figure.to_html(full_html=False, include_plotlyjs=not cells)
        cells.append(
            f"<div><h3>{GRADED[system_id]}</h3><p>{judge_run(run).sentence}</p>{chart}</div>"
        )
    page_text = (
        (
            "<body style='font-family:sans-serif;width:1080px'><div "
            "style='display:grid;grid-template-columns:1fr 1fr;gap:20px'>"
        )
        + "".join(cells)
        + "</div></body>"
    )
    with tempfile.TemporaryDirectory() as folder, sync_playwright() as driver:
        (Path(folder) / "page.html").write_text(
            f"<meta charset='utf-8'>{page_text}", encoding="utf-8"
        )
        browser = driver.chromium.launch(executable_path=shutil.which("chromium"), args=SWITCHES)
        page = browser.new_page(viewport={"width": 1110, "height": 400})
        page.goto(f"file://{folder}/page.html")
        page.wait_for_timeout(1500)
        save(page, "graded.webp", full_page=True)
        browser.close()


def text():
    missing = [system_id for system_id in SYSTEMS if not run_of(system_id)]
    not_yet = (
        f"\nNot yet run: {', '.join(missing)}. `python -m vizlib reproduce` trains them.\n"
        if missing
        else ""
    )
    short = [
        id
        for id, system in SYSTEMS.items()
        if (run := run_of(id))
        and system.reported
        and run.events_of("finished")[-1]["test_accuracy"] <= system.reported
    ]
    not_yet += f"\nBelow what was reported, so far: {', '.join(short)}.\n" if short else ""
    return f"""# Results

What five published course and lab reports reached with these networks, and what the runs here have
in their folders. Written by `PYTHONPATH=. python docs/results.py`; no figure is typed. `python -m
vizlib reproduce ID` trains a row anew.

{table()}
{not_yet}
The weights of a row are those of its best epoch on images held out of the
training set by seed (a tenth, at most 1,000); the test images were looked at once, at the end, and
chose nothing. *Test* counts against the report, also where it gives its validation accuracy.
Seconds are those of training on the device named, without evaluations; where the machine was busy
with other work they are more than it needs. Weights that are not shipped are of variants of
networks whose weights are: a clone stays small without them, and `python -m vizlib reproduce ID`
trains them.

Tested on:

{copies()}

## Recipes

{recipes()}

{lessons()}"""


def lessons():
    return f"""## What the rows teach

**A. One network, three ways to write it.** {three_forms()} On the Compare page the two of any pair
stand beside one another.

**A, F. What a recipe buys.** The same network, data and number of epochs; test images right. Where
a report gives no learning rate it is the usual one of its optimiser, which may be why its recipe
does otherwise here than there.

{what_a_recipe_buys()}

**B. Depth needs a way for the gradient.** The same 32 layers reach {accuracy("B1")} plain,
{accuracy("B2")} with a shortcut around every two of them, and {accuracy("B3")} with bottlenecks.
The Gradients page shows why, layer by layer.

![Gradients of the plain and the residual network](images/gradients.webp)

**C. An accuracy that hides a collapse.** The reports' photographs of the retina are not here;
graded X-rays of the knee, thinned to the same shares of the five grades, stand in for them, and a
network trained by ourselves on CIFAR-10 for the one trained on ImageNet. {always_the_commonest()}

{grades()}

{story()}

{remedies()}

{by_heart()}

![Four confusion matrices: two networks, from scratch and pretrained](images/graded.webp)

**D. Large filters, large maps.** ResNet-18 at 224 pixels, whose first layer has 64 filters of 7 × 7
and keeps its maps at 112 × 112, reaches {accuracy("D1")}. Its pictures grew, which saves most of
the time: {growth()}

![The 64 filters of 7 × 7 of its first layer](images/large-filters.webp)

![What they make of a photograph: 64 maps of 112 × 112](images/large-maps.webp)

![What one unit of its third stage looks for](images/large-unit.webp)

**B, E, F. What a parameter buys.** Not all were trained equally long: the first table says how many
epochs each had.

{sizes()}

- *Multi-scale.* Res2Net (F3) puts four scales into each block of F2 and does with
  {parameters("F3")} parameters, of {parameters("F2")}, what F2 does: {accuracy("F3")} and
  {accuracy("F2")}.
- *Dense.* Four layers that each see all before them (F4) reach {accuracy("F4")} with
  {parameters("F4")}: {per_parameter("F4", "F2")} of F2's.
- *Separable.* Depthwise and pointwise convolutions (F5) were made for large pictures: at 32 × 32,
  of which the first layer halves the side, {accuracy("F5")}. With a norm and a ReLU between the
  two, as in their paper (F5N), {accuracy("F5N")}.
- *Depth alone.* Twelve convolutions without a shortcut reach {accuracy("E1")} without batch
  normalisation (E1) and {accuracy("E1N")} with it after each (E1N), with {parameters("E1N")}
  parameters; forty in bottlenecks (E2), the last six blocks of which see maps of 2 × 2,
  {accuracy("E2")} with {parameters("E2")}.
- *A network of 1998.* LeNet (F1), with {parameters("F1")} parameters, {accuracy("F1")}.

"""


if __name__ == "__main__":
    (DOCS / "results.md").write_text(text(), encoding="utf-8")
    if all(map(run_of, GRADED)):
        picture()
