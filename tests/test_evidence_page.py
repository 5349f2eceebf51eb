"""The page Class evidence, run as Streamlit runs it; and its pictures, from arrays whose pictures
are known.
"""

import io
import time
from csv import DictReader

import numpy as np
import pytest
from PIL import Image

# a fixture for each test
from tests.test_pages import ROOT, fine, fresh_caches, opened, texts  # noqa: F401
from vizlib.displays.attribution import (
    EvidenceDisplay,
    figure_png,
    gradient_picture,
    rank_correlation,
    scale_of,
)
from vizlib.run import folders
from vizlib.ui.data import jobs

PAGE = ROOT / "pages/5_Class_evidence.py"


@pytest.fixture(autouse=True)
def no_jobs():
    jobs._jobs.clear()
    yield
    for job in jobs._jobs.values():
        job.waiting.clear()  # which cancels it
    while not all(job.has_ended for job in jobs._jobs.values()):
        time.sleep(0.05)


def ended(app):
    """The page once all computations beside it have ended: a fragment's own reruns are not seen by
    AppTest.
    """
    for _ in range(300):
        if all(job.has_ended for job in list(jobs._jobs.values())):
            return fine(app.run())
        time.sleep(0.1)
    raise AssertionError("the computations did not end")


def pictures(app):
    """The alternative texts of the page's pictures, the colour bars left out."""
    all_texts = [image.alt for element in app.main.get("image") for image in element.proto.imgs]
    return [text for text in all_texts if " for " in text]


def model_of(run):
    from vizlib import architectures
    from vizlib.inside import activations
    from vizlib.run.weights import load_into, load_weights

    return activations.prepare(
        load_into(
            architectures.create(run.config.architecture, **run.config.arguments),
            load_weights(run.path("model.safetensors")),
        )
    )


def answered(model_name, is_right):
    """(class, number of a held-out digit, the answer, the runner-up) of one that is answered right,
    or wrong.
    """
    from vizlib import datasets
    from vizlib.inside.passes import predict

    run = folders.open_run(model_name)
    split = datasets.load_for(run.config).splits["test"]
    logits = predict(
        model_of(run),
        np.stack([np.asarray(picture).transpose(2, 0, 1) for picture in split.pictures]),
        run.config.mean,
        run.config.std,
    )
    at = int(np.flatnonzero((logits.argmax(1) == split.labels) == is_right)[0])
    answer, second = np.argsort(-logits[at])[:2]
    return (
        run,
        int(split.labels[at]),
        int((split.labels[:at] == split.labels[at]).sum()),
        int(answer),
        int(second),
        logits[at],
    )


@pytest.mark.parametrize("is_right", [True, False])
def test_a_small_network_is_explained_at_once(is_right):
    """The answer beside the truth, or beside the runner-up where the answer is true, with the
    network's own logits; nothing is left to a job.
    """
    run, label, index, answer, second, logits = answered("digits_three_layer", is_right)
    names, other = run.class_names, second if is_right else label
    app = fine(opened(PAGE, model=run.run_id, label=names[label], index=str(index)))
    assert not jobs._jobs
    assert pictures(app) == [
        f"{method} for {names[target]}"
        for method in ("Grad-CAM", "integrated gradients", "occlusion")
        for target in (answer, other)
    ]
    said = texts(app).replace("\\", "")
    assert f"**{names[answer]}**, its answer{'' if is_right else ', and wrong'}" in said
    assert f"**{names[other]}**, {'the runner-up' if is_right else 'the truth'}" in said
    assert f"logit {logits[answer]:.3g}" in said
    assert f"logit {logits[other]:.3g}" in said
    assert "of the maps of conv2 after their rectifier, 8 × 8" in said
    assert "a window of 2 × 2 pixels, moved by 1" in said
    app = (
        opened(ROOT / "app.py", model=run.run_id, label=names[label], index=str(index))
        .switch_page("pages/5_Class_evidence.py")
        .run()
    )
    links = [str(element.proto) for element in fine(app).main.get("page_link")]
    assert any(
        f"true_first={names[label]}&predicted_first={names[answer]}" in link for link in links
    ), links


def test_a_class_asked_for_and_the_control_are_in_the_address():
    run, label, index, answer, second, _ = answered("digits_three_layer", True)
    asked = next(number for number in range(10) if number not in (answer, second))
    where = dict(model=run.run_id, label=run.class_names[label], index=str(index))
    app = fine(opened(PAGE, **where, **{"class": run.class_names[asked]}, random="true"))
    expected = [run.class_names[target] for target in (answer, second, asked)] + [
        f"{run.class_names[answer]} with random weights"
    ]
    assert pictures(app) == [
        f"{method} for {name}"
        for method in ("Grad-CAM", "integrated gradients", "occlusion")
        for name in expected
    ]
    assert texts(app).count("Random weights: ") == 3
    app.toggle(key="random").set_value(False).run()
    app.selectbox(key="class").set_value(run.class_names[second]).run()
    assert len(pictures(fine(app))) == 6, "a class that is shown already is not shown twice"


def test_the_table_to_keep_is_of_the_trained_network(monkeypatch):
    """With the control beside it: class by class what the library computes with the run's own
    weights.
    """
    from vizlib import images
    from vizlib.inside import attribution
    from vizlib.ui.parts import class_evidence

    tables = {}
    monkeypatch.setattr(
        class_evidence,
        "caption",
        lambda text, name, csv, **others: tables.update(
            {name: list(DictReader(csv().splitlines()))}
        ),
    )
    fine(opened(PAGE, model="digits_three_layer", source="photograph", random="true"))
    run = folders.open_run("digits_three_layer")
    picture = images.to_network_input(
        images.photograph("cat"), run.input_size, run.config.mean, run.config.std
    )[1]
    assert len(tables) == 3
    for name, rows in tables.items():
        method = name.removeprefix("digits_three_layer-")
        classes = list(dict.fromkeys(row["class"] for row in rows))
        assert len(classes) == 2
        for class_name in classes:
            found = [float(row["evidence"]) for row in rows if row["class"] == class_name]
            target = run.class_names.index(class_name)
            expected = attribution.evidence(model_of(run), picture, target, method).values
            np.testing.assert_allclose(found, expected.ravel(), rtol=1e-4, atol=1e-5)


def test_a_class_that_is_none_is_named():
    app = fine(opened(PAGE, model="digits_three_layer", **{"class": "dragon"}))
    assert any("no class named 'dragon'" in box.value.replace("\\", "") for box in app.warning)
    assert len(pictures(app)) == 6


def test_slow_methods_come_by_themselves():
    """A large network's Grad-CAM is there at once, the others when they have been computed, each
    once, as the library computes them.
    """
    app = fine(opened(PAGE, model="plain32"))
    assert [text.partition(" for ")[0] for text in pictures(app)[:2]] == ["Grad-CAM"] * 2
    assert len(jobs._jobs) == 4
    assert len(pictures(ended(app))) == 6
    assert len(jobs._jobs) == 4
    from vizlib import images
    from vizlib.inside import attribution

    run = folders.open_run("plain32")
    picture = images.to_network_input(
        images.photograph("cat"), run.input_size, run.config.mean, run.config.std
    )[1]
    for key, job in jobs._jobs.items():
        _, _, _, target, method, _ = key
        np.testing.assert_allclose(
            job.value.values,
            attribution.evidence(model_of(run), picture, target, method).values,
            atol=1e-5,
        )


def test_the_server_can_end_while_something_is_computed(interpreter):
    code = """
from streamlit.testing.v1 import AppTest
from vizlib.ui.data import jobs
app = AppTest.from_file("pages/5_Class_evidence.py", default_timeout=60).run()
assert not app.exception and not all(job.has_ended for job in jobs._jobs.values())
"""
    ended = interpreter("-c", code)
    assert ended.returncode == 0, ended.stderr[-2000:]


def test_no_picture_and_no_weights(weightless):
    app = fine(opened(PAGE, model="digits_three_layer", source="upload"))
    assert "Choose an image" in texts(app)
    assert not pictures(app)
    app = fine(opened(PAGE, model="weightless"))
    assert [box.value.replace("\\", "") for box in app.info] == [weightless.missing_weights]
    assert not pictures(app)


# The pictures


def test_gradient_picture():
    """Grey is zero; the ends are the 99.5th percentile of the sizes within the box; each channel is
    its own colour.
    """
    gradient = np.zeros((3, 20, 30), np.float32)
    gradient[0, 5, 5], gradient[2, 5, 6], gradient[1, 0, 0] = 2.0, -1.0, 50.0
    picture, scale = gradient_picture(gradient, (4, 4, 8, 8))
    assert picture.shape == (4, 4, 3)
    assert picture.dtype == np.uint8
    assert scale == pytest.approx(np.quantile(np.abs(gradient[:, 4:8, 4:8]), 0.995))
    assert picture[1, 1].tolist() == [255, 128, 128]
    assert (picture[3] == 128).all()
    assert picture[1, 2, 2] == round(127.5 - 127.5 / scale)
    whole, _ = gradient_picture(np.ones((1, 2, 2), np.float32))
    assert whole.shape == (2, 2, 1)
    assert (whole == 255).all()
    flat, scale = gradient_picture(np.zeros((1, 3, 3), np.float32))
    assert (flat == 128).all()
    assert scale == 0
    alone = np.zeros(1000)
    alone[7] = -3.0
    assert scale_of(alone) == 3.0, "where nearly all is zero, what is not is seen"


def test_evidence_is_on_one_scale():
    received = np.full((4, 6, 3), 200, np.uint8)
    values = np.zeros((2, 4, 6), np.float32)
    values[0, 0, 0], values[1, 3, 5] = 2.0, -1.0
    signed, heat = (
        EvidenceDisplay(values, received, "signed", ("cat", 'a "dog", or two')),
        EvidenceDisplay(np.abs(values), received, "heat"),
    )
    assert signed.limit == heat.limit == 2.0
    assert signed.bar()[1:] == ("-2", "2")
    assert heat.bar()[1:] == ("0", "2")
    (red, _, blue), (red_against, _, blue_against) = (
        signed.pictures[0, 0, 0].astype(int),
        signed.pictures[1, 3, 5].astype(int),
    )
    assert red > blue + 50, "no evidence is the image in grey"
    assert blue_against > red_against + 20, "no evidence is the image in grey"
    assert (signed.pictures[0, 1:] == 150).all(), "no evidence is the image in grey"
    assert heat.pictures[0, 0, 0].sum() > heat.pictures[1, 3, 5].sum()
    assert (heat.pictures[1, 0] == 150).all()
    plain = EvidenceDisplay(values, received, "map")
    assert np.ptp(plain.pictures[0, 1:]) < 5, "zero is nearly white"
    assert plain.pictures[0, 1, 1].min() > 240, "zero is nearly white"
    assert signed.csv().split("\n")[25] == '"a ""dog"", or two",0,0,0'
    assert len(signed.csv().split("\n")) == 50
    size = Image.open(io.BytesIO(figure_png([signed, heat], "Words."))).size
    assert size[0] > 4 * 6
    assert (EvidenceDisplay(values * 0, received, "signed").pictures == 150).all()


def test_rank_correlation():
    values = np.random.default_rng(0).normal(size=(8, 8))
    assert (
        rank_correlation(values, values**3) == pytest.approx(1) == rank_correlation(values, -values)
    )
    assert rank_correlation(np.arange(4.0), np.arange(4.0)[::-1] + 1) == pytest.approx(-1)
    assert rank_correlation(values, np.zeros((8, 8))) is None
