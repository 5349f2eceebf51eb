"""Every page on runs that were trained elsewhere: no data set, no training, no answers, layers that
are no convolutions, a thousand classes. Each says what it lacks in a sentence, and none fails.
"""

import inspect
import json
from functools import partial
from pathlib import Path

import pytest
import torch
from streamlit.testing.v1 import AppTest
from torchvision import models

from vizlib import architectures
from vizlib.architectures import Architecture, elsewhere
from vizlib.run import folders
from vizlib.run.config import RunConfig
from vizlib.run.weights import save_weights

pytestmark = pytest.mark.usefixtures("brief_evidence")
ROOT = Path(__file__).parent.parent
PAGES = [ROOT / "app.py", *sorted((ROOT / "pages").glob("*.py"))]
IMAGENET = models.ResNet18_Weights.DEFAULT.meta["categories"]
HAZARDOUS = ["**bold**", "![x](http://a.b/c.png)", "<b>tag</b>", ":red[word]", "$x$"]


def vision_transformer(num_classes=5):
    model = models.VisionTransformer(32, 8, 2, 2, 12, 20, num_classes=num_classes)
    torch.nn.init.normal_(model.heads[-1].weight)  # which torchvision begins with zeros
    return model


def swin(num_classes=5):
    return models.SwinTransformer([4, 4], 6, [1, 1], [1, 2], [4, 4], num_classes=num_classes)


def maxvit(num_classes=5):
    return models.MaxVit((64, 64), 8, 2, [8, 16], [1, 1], 4, 0.0, num_classes=num_classes)


OF_TESTS = {"vit": (vision_transformer, 32), "swin": (swin, 32), "maxvit": (maxvit, 64)}
KINDS = {
    "vit": HAZARDOUS,
    "swin": HAZARDOUS,
    "maxvit": HAZARDOUS,
    "squeezenet1_1": IMAGENET,
    "mobilenet_v3_small": IMAGENET,
}


@pytest.fixture
def imported(root, data_folder, monkeypatch):
    """imported(kind) puts a run of that kind, of random weights, into an empty folder of runs."""
    for name, (build, side) in OF_TESTS.items():
        known = Architecture(f"test/{name}", build, (3, side, side), f"A {name}.", {}, "")
        monkeypatch.setitem(elsewhere._registry, f"test/{name}", known)
    return partial(put, root)


def put(root, kind):
    """A run folder of an imported network, as it lies on the disk."""
    source, side = ("test", OF_TESTS[kind][1]) if kind in OF_TESTS else ("torchvision", 64)
    architecture, names = f"{source}/{kind}", KINDS[kind]
    arguments = {"num_classes": len(names)}
    torch.manual_seed(5)
    model = architectures.create(architecture, **arguments)
    config = dict.fromkeys(inspect.signature(RunConfig).parameters, None) | dict(
        architecture=architecture,
        arguments=arguments,
        dataset="",
        class_names=list(names),
        input_size=[3, side, side],
        mean=[0.485, 0.456, 0.406],
        std=[0.229, 0.224, 0.225],
        recipe={},
        seed=0,
        title="",
        ordered=False,
        validation=0,
        frozen=0,
        versions={},
        whole=False,
        origin={"file": f"{kind}.pth", "sha256": "0" * 64},
        unknown={},
    )
    folder = folders.claim_folder(kind, RunConfig(**config))
    save_weights(model.state_dict(), folder / "model.safetensors")
    count = sum(parameter.numel() for parameter in model.parameters())
    event = {"event": "imported", "parameters": count, "time": 1.0}
    (folder / "events.jsonl").write_text(json.dumps(event) + "\n")
    return folders.read_run(folder)


def opened(page, **query):
    app = AppTest.from_file(str(page), default_timeout=60)
    for key, value in query.items():
        app.query_params[key] = value
    return app.run()


def texts(app):
    kinds = ("markdown", "caption", "info", "warning", "metric")
    return " ".join(
        str(element.value).replace("\\", "") for kind in kinds for element in app.get(kind)
    )


def fine(app, where):
    assert not app.exception, (where, app.exception)
    assert not app.error, (where, [box.value for box in app.error])
    assert app.title[0].value, where
    return app


@pytest.mark.parametrize("kind", KINDS)
def test_every_page(imported, kind):
    """With a photograph in view, which is there without any data set."""
    imported(kind)
    app = fine(opened(PAGES[0], model=kind), "app")
    assert "Imported" in texts(app)
    for page in PAGES[1:]:
        app = fine(app.switch_page(f"pages/{page.name}").run(), page.stem)
        assert app.selectbox(key="model").value == kind, page.stem
        assert "None" not in [box.value for box in app.info], page.stem


def test_what_it_lacks_is_said_once_and_what_there_is(imported):
    imported("mobilenet_v3_small")
    said = {
        page.stem: [
            box.value.replace("\\", "") for box in opened(page, model="mobilenet_v3_small").info
        ]
        for page in PAGES
        if page.stem in ("6_Training_curves", "7_Film", "8_Confusion_matrix", "9_Gradients")
    }
    for stem, boxes in said.items():
        assert len(boxes) == 1, stem
        assert boxes[0].startswith("'mobilenet_v3_small' was trained elsewhere"), stem
        assert "train it again" not in boxes[0].lower(), stem
    assert "check mobilenet_v3_small --data" in said["8_Confusion_matrix"][0]


def test_its_card_has_a_badge_and_its_size(imported):
    run = imported("squeezenet1_1")
    app = opened(PAGES[0], find="squeezenet")
    [card] = [
        element.value
        for element in app.markdown
        if "1,000 classes" in element.value.replace("\\", "")
    ]
    assert ":violet-badge[Imported]" in card
    parameters = run.events_of("imported")[0]["parameters"]
    assert f"{parameters / 1e6:.3g} million weights" in card


def layers_of(app, *names):
    """The page of maps at each of these layers in turn."""
    for name in names:
        yield fine(app.selectbox(key="layer").set_value(name).run(), name)


def maps_page(kind):
    return opened(ROOT / "pages/3_Feature_maps.py", model=kind)


def test_maps_of_tokens(imported):
    imported("vit")
    names = ["encoder.dropout", "encoder.layers.encoder_layer_0.self_attention", "encoder"]
    for app in layers_of(maps_page("vit"), *names):
        assert "12 maps" in texts(app)
        assert "17 tokens of 12 numbers" in texts(app)
    [app] = layers_of(app, "heads.head")
    assert "5 values, one a unit" in texts(app)


def test_maps_where_units_are_last(imported):
    imported("swin")
    for app in layers_of(maps_page("swin"), "features.1.0.norm1", "features.1.0.attn"):
        assert "6 maps" in texts(app)
        assert "8 × 8 × 6, its 6 units last" in texts(app)


def test_a_layer_without_maps_says_what_it_gives(imported):
    imported("maxvit")
    name = "blocks.0.layers.0.layers.window_attention.attn_layer.1"
    [app] = layers_of(maps_page("maxvit"), name)
    [box] = [box.value.replace("\\", "") for box in app.info]
    assert "RelativePositionalMultiHeadAttention, and no convolution" in box
    assert "64 × 4 × 8 numbers" in box


def test_classes_of_imagenet_are_chosen_by_name(imported):
    imported("mobilenet_v3_small")
    page = ROOT / "pages/5_Class_evidence.py"
    app = fine(opened(page, model="mobilenet_v3_small", **{"class": "tabby"}), "evidence")
    assert app.selectbox(key="class").value == "tabby"
    assert "**tabby**, asked for" in texts(app)
    app = fine(opened(ROOT / "pages/4_Unit.py", model="mobilenet_v3_small"), "units")
    fine(app.selectbox(key="layer").set_value("classifier.3").run(), "classes")
    app = fine(app.number_input(key="unit").set_value(281).run(), "tabby")
    assert "What excites the class tabby" in texts(app)


def test_no_data_set_no_pictures_of_it(imported):
    imported("mobilenet_v3_small")
    app = opened(ROOT / "pages/3_Feature_maps.py", model="mobilenet_v3_small", source="data set")
    fine(app, "data set")
    assert "comes from a file, without the pictures that it learned from" in texts(app)
