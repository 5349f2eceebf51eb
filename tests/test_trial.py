"""A second that is tried: what it measures, where that is kept, and what is made of it."""

import json

import pytest

from vizlib.run import folders
from vizlib.training import estimate, of_machine, optimisers, trial
from vizlib.training.estimate import START_SECONDS, epochs_within
from vizlib.training.order import Order
from vizlib.training.recipes import recipe
from vizlib.training.schedules import relative_cost
from vizlib.training.trial import Trial

DIGITS = (1, 8, 8)


@pytest.fixture(autouse=True)
def no_form_starts_a_process():
    """Here it is."""


@pytest.fixture(autouse=True)
def home(tmp_path, monkeypatch):
    """A machine of which nothing is known."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setattr(trial, "_processes", {})
    return tmp_path / "convscope" / trial.FILE


def tried(**changes):
    return Trial("three_layer_module", DIGITS, recipe("sgd", batch_size=50, **changes), "cpu")


def test_speed_is_images_of_whole_steps_by_their_seconds(monkeypatch):
    """A clock that goes on by a tenth of a second with each step of the optimiser, and by much more
    with the first two, which do not count.
    """
    now, steps = [0.0], []

    def step(self, closure=None):
        steps.append(1)
        now[0] += 5.0 if len(steps) <= trial.FIRST_STEPS else 0.1

    monkeypatch.setattr(trial.time, "perf_counter", lambda: now[0])
    monkeypatch.setattr(optimisers.torch.optim.SGD, "step", step)
    assert trial.measured(tried()) == pytest.approx(50 / 0.1)
    assert len(steps) - trial.FIRST_STEPS in (10, 11)  # a second


@pytest.fixture
def on_three_threads(monkeypatch):
    """found(seconds): (images a second, threads that each step had) of a trial of 32 pictures a
    step on a machine with three threads. seconds(step, threads): of each step, from 1 on.
    """
    import torch

    def found(seconds):
        now, number, had = [0.0], [3], []

        def step(self, closure=None):
            had.append(number[0])
            now[0] += seconds(len(had), number[0])

        monkeypatch.setattr(trial.time, "perf_counter", lambda: now[0])
        monkeypatch.setattr(torch, "get_num_threads", lambda: number[0])
        monkeypatch.setattr(torch, "set_num_threads", lambda wanted: number.__setitem__(0, wanted))
        monkeypatch.setattr(optimisers.torch.optim.SGD, "step", step)
        order = Trial("three_layer_module", (3, 32, 32), recipe("sgd", batch_size=32), "cpu")
        return trial.measured(order), had

    return found


def test_the_faster_number_of_threads_alone_counts(on_three_threads):
    """Slow steps, each a second long with three threads and four with one, which is tried for three
    of the six that are made: a training goes on with three.
    """
    speed, had = on_three_threads(lambda step, threads: 1.0 if threads == 3 else 4.0)
    assert speed == pytest.approx(32 / 1.0)
    assert set(had[trial.FIRST_STEPS :]) == {1, 3}


def test_one_slow_step_does_not_tell_the_speed(on_three_threads):
    """The first step that counts is five times slower, as beside a process that has just begun;
    with one thread all are four times slower. Three steps count, and their median.
    """

    def seconds(step, threads):
        if threads == 1:
            return 4.0
        return 5.0 if step == trial.FIRST_STEPS + 1 else 1.0

    speed, had = on_three_threads(seconds)
    assert speed == pytest.approx(32 / 1.0)
    assert had[trial.FIRST_STEPS :].count(3) >= 3


def test_growing_pictures_are_tried_small_and_counted_as_whole_ones(monkeypatch):
    now = [0.0]
    sizes = []

    def step(self, closure=None):
        now[0] += 0.5

    monkeypatch.setattr(trial.time, "perf_counter", lambda: now[0])
    monkeypatch.setattr(optimisers.torch.optim.SGD, "step", step)
    import torch

    forward = torch.nn.Conv2d.forward
    monkeypatch.setattr(
        torch.nn.Conv2d,
        "forward",
        lambda self, images: (sizes.append(images.shape[2]), forward(self, images))[1],
    )
    order = Trial("resnet18", (3, 56, 56), recipe("sgd", batch_size=8, growing=True), "cpu")
    assert trial.measured(order) == pytest.approx(8 / 0.5 * (2 / 7) ** 2)
    assert max(sizes) == 16  # two sevenths of 56


def test_it_is_tried_in_a_process_and_kept(home):
    assert trial.speed(tried()) is None
    trial.begin(tried())
    process = trial._processes[tried().of]
    trial.begin(tried())  # a second press begins no second one
    assert trial._processes[tried().of] is process
    assert process.wait(120) == 0
    assert not trial.is_under_way(tried())
    assert trial.speed(tried()) > 0
    kept = json.loads(home.read_text())
    assert kept == {trial._start(): trial.start_seconds(), tried().of: trial.speed(tried())}
    assert 0 < trial.start_seconds() < 120


@pytest.mark.parametrize("kept", ["fast", True, None, -1.0, 0.0, float("inf"), float("nan"), [1.0]])
def test_what_is_no_speed_is_none(kept):
    for of in (tried().of, trial._start()):
        of_machine.keep(trial.FILE, of, kept)
    assert trial.speed(tried()) is None
    assert trial.start_seconds() is None


def test_a_speed_is_of_one_network_size_batch_and_optimiser():
    others = [
        tried(),
        Trial("lenet", DIGITS, recipe("sgd", batch_size=50), "cpu"),
        Trial("three_layer_module", (1, 9, 8), recipe("sgd", batch_size=50), "cpu"),
        Trial("three_layer_module", DIGITS, recipe("sgd", batch_size=51), "cpu"),
        Trial("three_layer_module", DIGITS, recipe("adamw", batch_size=50), "cpu"),
        Trial("three_layer_module", DIGITS, recipe("sgd", batch_size=50), "cuda:0"),
        tried(growing=True),
    ]
    assert len({each.of for each in others}) == len(others)
    assert tried(epochs=3).of == tried(epochs=4).of
    assert tried(learning_rate=0.2).of == tried().of


def test_an_estimate_is_of_what_was_tried(runs_root):
    of_machine.keep(trial.FILE, tried().of, 250.0)
    order = Order("three_layer_module", "digits", tried(epochs=7).recipe)
    seconds, source = estimate.estimate(order, images=1500, input_size=DIGITS)
    assert seconds == pytest.approx(7 * 1500 / 250 + START_SECONDS)
    assert source == "from a second that was tried here"
    assert folders.list_runs(shipped=False)[0] == []
    of_machine.keep(trial.FILE, trial._start(), 9.5)
    seconds, _ = estimate.estimate(order, images=1500, input_size=DIGITS)
    assert seconds == pytest.approx(7 * 1500 / 250 + 9.5 + estimate.LOADING_SECONDS)
    in_seconds = Order("three_layer_module", "digits", recipe("sgd", seconds=30.0))
    seconds, _ = estimate.estimate(in_seconds, images=1500, input_size=DIGITS)
    assert seconds == 30 + 9.5 + estimate.LOADING_SECONDS


def test_epochs_within_a_time():
    size = (3, 224, 224)
    plain = recipe("nesterov", seconds=30.0)
    assert epochs_within(plain, 600.0, 9000, size) == pytest.approx(2.0)
    growing = recipe("growing", seconds=30.0)
    expected = 2.0 / relative_cost(growing, size[1:])
    assert epochs_within(growing, 600.0, 9000, size) == pytest.approx(expected)
    assert expected > 4


# In the form


def test_the_form_says_how_far_a_recipe_in_seconds_gets(root, monkeypatch):
    """airbench ships after 3.15 epochs in a minute; at 100 images a second it is another."""
    from streamlit.testing.v1 import AppTest

    begun = []
    monkeypatch.setattr(trial, "begin", begun.append)

    def script():
        import streamlit as st

        from vizlib.training.order import Order
        from vizlib.training.recipes import recipe
        from vizlib.ui.train_panel import outlook

        facts = {"images": 45_000, "size": (3, 32, 32), "parameters": 9, "cut": 0.0}
        order = Order("airbench", "cifar10", recipe("minute"), device="cpu")
        outlook.show(order, facts)
        st.write("drawn")

    def said():
        app = AppTest.from_function(script, default_timeout=60).run()
        assert not app.exception
        return " ".join(box.value for box in app.caption)

    shipped = folders.open_run("airbench").events_of("epoch")[-1]["epoch"]
    assert "epochs" not in said()
    [order] = begun
    of_machine.keep(trial.FILE, order.of, 100.0)
    assert (
        f"about **{60 * 100 / 45_000:.2g} epochs**; the run that ships had {shipped:.2g}" in said()
    )
    of_machine.keep(trial.FILE, order.of, 45_000 * shipped / 60)
    assert f"about {shipped:.2g} epochs" in said()
    assert "ships" not in said()
    assert len(begun) == 1
