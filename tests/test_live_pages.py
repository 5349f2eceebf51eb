"""Pages on runs that are not finished: they wait, grow, pause, ended too early; and the film of
learning.
"""

import contextlib
import json
import os
import shutil
import threading
from pathlib import Path

import numpy as np
import pytest
from filelock import FileLock
from streamlit.proto.ForwardMsg_pb2 import ForwardMsg
from streamlit.testing.v1 import AppTest

from tests import facts
from tests.test_browser import no_error
from vizlib.run import events, folders
from vizlib.run.weights import save_weights

pytestmark = pytest.mark.usefixtures("brief_evidence")
ROOT = Path(__file__).parent.parent
PAGES = [ROOT / "app.py", *sorted((ROOT / "pages").glob("*.py"))]
LAYERS = ["conv1", "conv2", "fc1", "fc2", "fc3"]


def step_row(step, **changes):
    row = {
        "event": "step",
        "step": step,
        "epoch": step / 400,
        "progress": step / 2000,
        "train_loss": 2.3 - step / 2000,
        "train_accuracy": step / 2500,
    }
    return (
        row | {"learning_rate": 0.01, "seconds": step / 50, "images_per_second": 6400.0} | changes
    )


def epoch_row(step, **changes):
    confusion = (np.eye(10, dtype=int) * 60 + 4).tolist()
    scores = {"train_loss": 2.0, "train_accuracy": 0.3, "val_loss": 1.9, "val_accuracy": 0.64}
    return {
        "event": "epoch",
        "step": step,
        "epoch": step / 400,
        "progress": step / 2000,
        **scores,
        "learning_rate": 0.01,
        "seconds": step / 50,
        "confusion": confusion,
    } | changes


def gradient_row(step, norms=(0.0, 1e-3, 1e-2, 0.1, 1.0)):
    return {
        "event": "gradients",
        "step": step,
        "epoch": step / 400,
        "seconds": step / 50,
        "norms": list(norms),
        "weights": [2.0] * 5,
    }


STARTED = {
    "event": "started",
    "device": "CPU",
    "parameters": 62006,
    "steps": 2000,
    "layers": LAYERS,
}
GROWING = [
    STARTED,
    *(step_row(step) for step in range(1, 61)),
    *(gradient_row(step) for step in (1, 2, 4, 8, 16, 32, 40)),
    epoch_row(40),
    {"event": "checkpoint", "step": 40, "epoch": 0.1, "val_accuracy": 0.64, "seconds": 0.8},
    {"event": "rate", "step": 50, "epoch": 0.125, "seconds": 1.0, "learning_rate": 0.002},
]
STATES = {  # the events of a run, and whether its process lives
    "queued": ([{"event": "queued", "device": "cpu"}], True),
    "begun": ([STARTED], True),
    "one_step": ([STARTED, step_row(1), gradient_row(1)], True),
    "training": (GROWING, True),
    "paused": ([*GROWING, {"event": "paused", "step": 60, "epoch": 0.15, "seconds": 1.2}], True),
    "stopped": ([*GROWING, {"event": "stopped", "reason": "Stopped by *hand*."}], False),
    "failed": ([*GROWING, {"event": "failed", "reason": "The loss is not a number."}], False),
    "failed_early": (
        [{"event": "queued", "device": "cpu"}, {"event": "failed", "reason": "No memory."}],
        False,
    ),
    "interrupted": (GROWING, False),
    "resumed": (
        [*GROWING, {"event": "resumed", "step": 45, "epoch": 0.1125, "seconds": 0.9}, step_row(46)],
        True,
    ),
}


def fabricate(root, name, events, *, weights=True, snapshots=True, architecture="lenet"):
    """A run folder as a training would have left it. Its probe maps are those of two layers at
    steps 0, 8 and 32.
    """
    folder = root / name
    folder.mkdir(parents=True)
    shipped = folders.SHIPPED / "lenet"
    (folder / "config.json").write_text(
        json.dumps(
            json.loads((shipped / "config.json").read_text()) | {"architecture": architecture}
        )
    )
    os.utime(folder / "config.json", (1, 1))  # not just started
    (folder / "events.jsonl").write_text("".join(json.dumps(row) + "\n" for row in events))
    if weights:
        shutil.copy(shipped / "model.safetensors", folder)
    if snapshots:
        import torch

        tensors = {
            "probe/picture": torch.arange(32 * 32 * 3, dtype=torch.int64)
            .reshape(32, 32, 3)
            .to(torch.uint8)
        }
        for step in (0, 8, 32):
            tensors[f"conv1/{step:08d}"] = torch.full((6, 3, 5, 5), step / 64 + 0.01)
            # of sixteen maps ten
            for layer, shape in (("conv1", (6, 28, 28)), ("conv2", (10, 10, 10))):
                tensors[f"probe/{step:08d}/{layer}"] = (
                    torch.arange(int(np.prod(shape))).reshape(shape).remainder(256).to(torch.uint8)
                )
                tensors[f"range/{step:08d}/{layer}"] = torch.tensor([-1.0, step + 1.0])
        save_weights(tensors, folder / "snapshots.safetensors", dtype=None)
    return folder


@contextlib.contextmanager
def alive(folder, is_alive=True):
    """Hold the run's lock, as its training process does."""
    lock = FileLock(folder / events.LOCK)
    if is_alive:
        lock.acquire()
    try:
        yield
    finally:
        lock.release()


def opened(file, **query):
    app = AppTest.from_file(str(file), default_timeout=60)
    for key, value in query.items():
        app.query_params[key] = value
    return app.run()


def texts(app):
    return " ".join(
        element.value
        for kind in ("markdown", "title", "caption", "error", "warning", "info", "success")
        for element in app.get(kind)
    ).replace("\\", "")


def fine(app):
    assert not app.exception, app.exception
    assert not app.error, [box.value for box in app.error]
    assert app.title[0].value
    return app


def test_states_are_what_they_are_called(root):
    for name, (rows, is_alive) in STATES.items():
        with alive(fabricate(root, name, rows, weights=False, snapshots=False), is_alive):
            expected = {
                "begun": "training",
                "one_step": "training",
                "resumed": "training",
                "failed_early": "failed",
            }.get(name, name)
            assert folders.open_run(name).status == expected


# they show the same whatever run is in view
OF_NO_RUN = ("11_Data", "12_Check", "13_Import", "15_Lessons")


@pytest.mark.walk
@pytest.mark.parametrize("state", STATES)
def test_every_page_in_every_state(root, state):
    events, is_alive = STATES[state]
    folder = fabricate(
        root,
        state,
        events,
        weights=state not in ("queued", "failed_early"),
        snapshots=state not in ("queued", "failed_early"),
    )
    with alive(folder, is_alive):
        app = opened(PAGES[0], model=state)
        for file in PAGES:
            said = texts(fine(app.switch_page(str(file.relative_to(ROOT))).run()))
            if file.stem in OF_NO_RUN:
                continue
            if file.stem == "app":
                assert folders.open_run(state).status.replace("queued", "waiting") in said.lower()
            elif state == "queued":
                assert "waits for its turn" in said
            elif state in ("stopped", "failed", "failed_early"):
                assert file.stem == "6_Training_curves" or events[-1]["reason"].replace(
                    "*", ""
                ) in said.replace("*", "")


@pytest.mark.parametrize("state", STATES)
def test_a_run_in_every_state_beside_a_finished_one(root, state):
    """What it does not have yet is said in its half; the other one is all there."""
    events, is_alive = STATES[state]
    with alive(
        fabricate(
            root, state, events, weights=state not in ("queued", "failed_early"), snapshots=False
        ),
        is_alive,
    ):
        said = texts(fine(opened(ROOT / "pages/10_Compare.py", model="plain32", other=state)))
    assert f"**plain32**: {facts.accuracy('plain32'):.1%} of 5,000 images right" in said
    assert "convolution 1 of 31" in said
    assert f"| {facts.parameters('plain32'):,} |" in said
    has_evaluation = any(row["event"] == "epoch" for row in events)
    assert (
        ("first evaluation will show" in said or "ended before its first evaluation" in said)
        != has_evaluation
        == (f"plain32 minus {state}" in said)
    )
    assert ("One colour scale for both halves" in said) == (state not in ("queued", "failed_early"))


def test_a_growing_run_says_how_far_it_is(root):
    with alive(fabricate(root, "mine", GROWING)):
        said = texts(fine(opened(ROOT / "pages/2_Filters.py", model="mine")))
        assert "Training 3%" in said
        assert "step 60" in said
        assert "64.0%" in said
        assert "those of step 40, the best so far" in said
        said = texts(fine(opened(ROOT / "pages/8_Confusion_matrix.py", model="mine")))
        assert "as it answered at step 40 (epoch 0.1)" in said
        assert "no images of a cell" in said
        assert "Not collapsed" in said
        app = fine(opened(ROOT / "pages/6_Training_curves.py", model="mine"))
        assert any("6,400 training images a second" in caption.help for caption in app.caption)
        said = texts(fine(opened(ROOT / "app.py")))
        assert "64.0%** :small[right so far]" in said


def test_a_collapse_shows_while_it_trains(root):
    answers_first = np.zeros((10, 10), int)
    answers_first[:, 0] = 100
    with alive(fabricate(root, "mine", [STARTED, epoch_row(40, confusion=answers_first.tolist())])):
        app = opened(ROOT / "pages/8_Confusion_matrix.py", model="mine")
        assert not app.exception
        assert len(app.error) == 1
        assert "Collapsed: 100 %" in app.error[0].value.replace("\\", "")


@pytest.mark.parametrize(
    "confusion",
    [None, [[1]], "x", [[-1] * 10] * 10, [[0] * 10] * 10, [["a"] * 10] * 10, [[1], [1, 2]]],
)
def test_an_evaluation_without_a_matrix_that_fits(root, confusion):
    with alive(
        fabricate(root, "mine", [STARTED, epoch_row(40, confusion=confusion)], snapshots=False)
    ):
        assert "has just begun" in texts(
            fine(opened(ROOT / "pages/8_Confusion_matrix.py", model="mine"))
        )


# The film


def test_the_film_shows_the_filters_of_its_step(root):
    fabricate(root, "mine", GROWING)
    app = fine(opened(ROOT / "pages/2_Filters.py", model="mine", step="8"))
    slider = app.select_slider(key="step")
    assert slider.value == "8"
    assert list(slider.options)[:4] == ["0", "1", "2", "4"]
    assert "As they were at step 8." in texts(app)
    assert "greatest absolute weight 0.135" in texts(app)
    assert "the last stored before 16" in texts(fine(slider.set_value("16").run()))
    assert "only conv1 is stored" in texts(
        fine(app.selectbox(key="layer").set_value("conv2").run())
    )


def test_the_film_shows_the_maps_of_the_probe_picture(root):
    fabricate(root, "mine", GROWING)
    app = fine(opened(ROOT / "pages/3_Feature_maps.py", model="mine", step="40", layer="conv1"))
    assert "As it was at step 32." in texts(app)
    assert "not yours" in texts(app)
    assert "**6 maps**" in texts(app)
    app.selectbox(key="layer").set_value("fc1").run()
    assert "Of fc1 nothing is stored, so conv2 is shown" in texts(fine(app))
    assert "**10 maps**" in texts(app)
    assert "first 10 of 16" in texts(app)
    assert "It answers" in texts(fine(app.select_slider(key="step").set_value("end").run()))


def test_probe_maps_have_their_values_back(root):
    from vizlib.ui.data import caches

    fabricate(root, "mine", GROWING)
    display = caches.probe_maps(folders.open_run("mine"), 32, "conv1")
    assert display.maps.min() == -1
    assert display.maps.max() == pytest.approx(33)
    assert display.network_range == (-1, 33)
    assert display.maps[0, 1, 23] == pytest.approx(-1 + 51 * 34 / 255)


def test_the_film_shows_the_matrix_of_the_last_evaluation(root):
    fabricate(root, "mine", [*GROWING, epoch_row(80, val_accuracy=0.9)])
    app = fine(opened(ROOT / "pages/8_Confusion_matrix.py", model="mine", step="40"))
    assert "as it answered at step 40" in texts(app)
    assert "had not been evaluated yet: the first time was at step 40" in texts(
        fine(app.select_slider(key="step").set_value("8").run())
    )


def test_shipped_runs_say_what_is_not_stored():
    said = texts(
        fine(opened(ROOT / "pages/3_Feature_maps.py", model="digits_three_layer", step="64"))
    )
    assert "no feature maps are stored" in said
    assert "It answers" in said
    said = texts(
        fine(opened(ROOT / "pages/8_Confusion_matrix.py", model="digits_three_layer", step="84"))
    )
    assert "as it answered at step 84" in said
    fine(opened(ROOT / "pages/6_Training_curves.py", model="digits_three_layer", step="64"))


@pytest.mark.parametrize(
    ("wanted", "found", "is_said"),
    [
        ("1000000", "1720", False),
        ("3", "2", False),
        ("banana", "end", True),
        ("-4", "end", True),
        ("²", "end", True),
        ("best", "end", False),
    ],
)
def test_a_step_that_is_not_there(wanted, found, is_said):
    app = fine(opened(ROOT / "pages/2_Filters.py", model="lenet", step=wanted))
    value = app.select_slider(key="step").value
    assert value == found or (
        wanted in ("1000000", "3")
        and value in app.select_slider(key="step").options
        and int(value) <= int(wanted)
    )
    assert any("no training step" in box.value for box in app.warning) == is_said


def test_the_step_is_kept_across_pages():
    app = fine(opened(ROOT / "app.py"))
    app.switch_page("pages/2_Filters.py").run()
    app.select_slider(key="step").set_value("8").run()
    for name in ("6_Training_curves", "1_Architecture", "8_Confusion_matrix"):
        app.switch_page(f"pages/{name}.py").run()
        fine(app)
    assert app.select_slider(key="step").value == "8"


def frame_of(app):
    """The step that the film shows, as it is written beside its progress; None while it does not
    play.
    """
    bars = [
        bar.proto.text.removeprefix("Training step ")
        for bar in app.get("progress")
        if bar.proto.text.startswith("Training step ")
    ]
    return bars[0] if bars else None


def test_the_film_plays_to_its_end(root):
    fabricate(root, "mine", GROWING)
    app = fine(opened(ROOT / "pages/2_Filters.py", model="mine"))
    options = list(app.select_slider(key="step").options)
    app.button(key="play").click().run()
    shown = [frame_of(app)]
    while frame_of(fine(app.run())):
        shown.append(frame_of(app))
    assert shown == options[:-1]
    assert shown[0] == "0"
    assert app.select_slider(key="step").value == "end"
    assert app.button(key="play").label == "▶"


def test_a_film_that_is_stopped_stays_where_it_is(root):
    fabricate(root, "mine", GROWING)
    app = opened(ROOT / "app.py", model="mine")
    fine(app.switch_page("pages/8_Confusion_matrix.py").run())
    options = app.select_slider(key="step").options
    app.button(key="play").click().run()
    fine(app.run())
    assert (frame_of(app), app.button(key="play").label) == (options[1], "■")
    app.button(key="play").click().run()
    assert fine(app).select_slider(key="step").value == options[1]
    assert app.button(key="play").label == "▶"
    assert frame_of(app) is None
    app.button(key="play").click().run()
    assert frame_of(fine(app)) == options[0]
    app.switch_page("pages/1_Architecture.py").run()  # which has no film
    app.switch_page("pages/2_Filters.py").run()
    assert fine(app).select_slider(key="step").value == options[0]


def test_a_wrong_name_stays_said_until_another_is_chosen(root):
    fabricate(root, "mine", GROWING)
    app = fine(opened(ROOT / "pages/2_Filters.py", model="mine", layer="nonsense"))
    for _ in range(3):
        assert any("nonsense" in box.value for box in fine(app.run()).warning)
    assert not fine(app.selectbox(key="layer").select("conv2").run()).warning


# Gradients


def test_what_stands_beside_by_itself_is_of_this_page_and_model_only(root):
    fabricate(root, "mine", GROWING)
    app = fine(opened(ROOT / "pages/9_Gradients.py", model="resnet32"))
    assert app.selectbox(key="against").value == "plain32"
    assert (
        fine(app.selectbox(key="model").select("mine").run()).selectbox(key="against").value
        == "nothing"
    )
    app.selectbox(key="against").select("lenet").run()
    assert (
        fine(app.selectbox(key="model").select("resnet32").run()).selectbox(key="against").value
        == "lenet"
    )


def test_gradients_of_two_runs(root):
    fabricate(root, "plain", GROWING, architecture="lenet")
    fabricate(root, "mine", GROWING)
    app = fine(opened(ROOT / "pages/9_Gradients.py", model="mine", against="plain", step="16"))
    assert "at step 16" in texts(app)
    assert len(app.get("plotly_chart")) == 2
    fine(app.segmented_control(key="size").set_value("gradient / weight").run())


def test_a_run_without_gradients_says_how_to_get_them():
    said = texts(fine(opened(ROOT / "pages/9_Gradients.py", model="collapsed_lenet")))
    assert "python -m vizlib train --architecture lenet --data cifar10-imbalanced" in said


def test_shipped_plain_and_residual_stand_beside_one_another():
    said = texts(fine(opened(ROOT / "pages/9_Gradients.py", model="resnet32")))
    assert "plain32" in said
    assert "no gradients" not in said


# In a browser


@pytest.mark.browser
def test_a_growing_run_moves_the_curve_and_leaves_an_open_box_alone(page, served, request):
    """New rows reach the chart by themselves, the sidebar is not drawn again, and a list that is
    open stays open.
    """
    address, root = served
    folder = fabricate(root, "growing", GROWING, snapshots=False)
    request.addfinalizer(lambda: shutil.rmtree(folder))
    over = threading.Event()

    def grow():
        with open(folder / "events.jsonl", "a") as file:
            for step in range(61, 2000):
                file.write(json.dumps(step_row(step)) + "\n")
                file.flush()
                if over.wait(0.2):
                    return

    points = (
        "() => Math.max(0, ...(document.querySelector('.js-plotly-plot')?.data ?? []).map(line => "
        "line.x.length))"
    )
    # of each element sent, the part of the page that it belongs to; empty for one of the page
    # itself
    drawn = []

    def note(payload):
        message = ForwardMsg.FromString(payload) if isinstance(payload, bytes) else None
        if message and message.WhichOneof("type") == "delta":
            drawn.append(message.delta.fragment_id)

    page.on("websocket", lambda socket: socket.on("framereceived", note))
    with alive(folder):
        writer = threading.Thread(target=grow)
        writer.start()
        try:
            page.goto(f"{address}/Training_curves?model=growing&axis=steps")
            page.wait_for_function("() => document.querySelector('.js-plotly-plot')?.data?.length")
            drawn.clear()
            first = page.evaluate(points)
            page.locator("[data-testid='stMultiSelect'] input").click()
            page.keyboard.type("len")
            page.wait_for_function(f"([first]) => ({points})() > first + 8", arg=[first])
            assert len(drawn) > 1, "only the part that follows the run is drawn again"
            assert all(drawn), "only the part that follows the run is drawn again"
            assert page.locator("[data-testid='stMultiSelect'] input").input_value() == "len"
            assert page.locator("[role=option]").first.is_visible()
            no_error(page)
        finally:
            over.set()
            writer.join()
    with open(folder / "events.jsonl", "a") as file:
        file.write(json.dumps({"event": "stopped", "reason": "Enough."}) + "\n")
    page.get_by_text("Enough.").first.wait_for()
