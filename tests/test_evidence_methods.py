"""Every method of evidence keeps the registry's contract, and one dropped into the folder is on the
page.
"""

import ast
import sys

import numpy as np
import pytest
import torch
from torch import nn

# a fixture for each test
from tests.test_evidence_page import ended, no_jobs, pictures  # noqa: F401
from tests.test_pages import ROOT, fine, fresh_caches, opened, texts  # noqa: F401
from vizlib import datasets
from vizlib.errors import UserError
from vizlib.inside import evidence as methods
from vizlib.inside.activations import prepare
from vizlib.inside.attribution import evidence, of_units
from vizlib.inside.evidence import STYLES, class_methods, for_classes, for_units, unit_methods
from vizlib.inside.strongest import of_run
from vizlib.run import folders

SHIPPED = {"Grad-CAM", "integrated gradients", "occlusion"}
SHIPPED_FOR_UNITS = {"deconvnet", "guided backpropagation"}

pytestmark = pytest.mark.filterwarnings("ignore:Setting backward hooks")


@pytest.fixture
def model():
    """Small, not square, with a ReLU; in training, as nobody has prepared it."""
    torch.manual_seed(3)
    return nn.Sequential(
        nn.Conv2d(2, 4, 3, padding=1),
        nn.ReLU(),
        nn.Conv2d(4, 3, 3, padding=1),
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
        nn.Linear(3, 5),
    )


@pytest.fixture
def image():
    return torch.randn(1, 2, 9, 13, generator=torch.Generator().manual_seed(1))


def condition(model):
    """All that a method might leave on a model."""
    return [
        (
            len(module._forward_hooks),
            len(module._forward_pre_hooks),
            len(module._backward_hooks),
            module.training,
            [(one.requires_grad, one.grad, one.sum().item()) for one in module.parameters()],
        )
        for module in model.modules()
    ]


class Cancelled(Exception):
    pass


def cancel(share):
    raise Cancelled


@pytest.mark.parametrize("name", class_methods())
def test_a_method_for_classes_keeps_the_contract(name, model, image):
    method, before, kept, shares = class_methods()[name], condition(model), image.clone(), []
    found = evidence(model, image, 3, name, shares.append)
    assert (found.values.shape, found.values.dtype) == ((9, 13), np.float32)
    assert np.isfinite(found.values).all()
    assert found.values.any()
    assert method.style in STYLES
    assert method.style != "heat" or found.values.min() >= 0
    assert shares == sorted(shares)
    assert shares[-1] == 1
    assert method.passes > 0
    assert method.name == name
    assert method.words.startswith("**")
    assert method.reading(found.values, found.facts)
    assert isinstance(method.making(found.facts), str)
    np.testing.assert_array_equal(evidence(prepare(model), image, 3, name).values, found.values)
    other = evidence(model, image, 4, name).values
    assert not np.array_equal(other, found.values), "another class, another picture"
    before = condition(model)  # prepared now
    for target in (-1, 5):
        with pytest.raises(UserError, match=f"no class named '{target}'"):
            evidence(model, image, target, name)
    with pytest.raises(Cancelled):
        evidence(model, image, 3, name, cancel)
    assert condition(model) == before
    assert torch.equal(image, kept)
    assert not image.requires_grad


@pytest.mark.parametrize("name", class_methods())
def test_a_method_for_classes_leaves_a_model_in_training_as_it_is(name, model, image):
    before = condition(model)
    evidence(model, image, 3, name)
    assert condition(model) == before


@pytest.mark.parametrize("name", unit_methods())
def test_a_method_for_units_keeps_the_contract(name, model, image):
    before, images = condition(model), torch.cat([image, image.flip(3), 2 * image])
    asked = ("2", [1, 0, 1], [(4, 7), (0, 12), (8, 0)])
    shares = []
    found = of_units(model, images, *asked, name, shares.append)
    assert (found.shape, found.dtype) == ((3, 2, 9, 13), np.float32)
    assert np.isfinite(found).all()
    assert found.any(axis=(1, 2, 3)).all()
    # a position of the second convolution sees 5x5
    assert not found[0, :, :2].any()
    assert not found[0, :, :, 10:].any()
    assert shares[-1] == 1
    assert unit_methods()[name].name == name
    assert unit_methods()[name].words.startswith("**")
    np.testing.assert_array_equal(of_units(model, images, *asked, name), found)
    with pytest.raises(UserError, match="no unit 3"):
        of_units(model, images, "2", [1, 3, 1], asked[2], name)
    with pytest.raises(Cancelled):
        of_units(model, images, *asked, name, cancel)
    assert condition(model) == before
    assert not images.requires_grad


def test_what_is_registered_is_read_without_torch(interpreter):
    ended = interpreter(
        "-c",
        "import sys; from vizlib.inside.evidence import class_methods, unit_methods;"
        "print(list(class_methods()), list(unit_methods()), sep='\\n');"
        "print([name for name in ('torch', 'captum', 'numpy') if name in sys.modules])",
    )
    assert ended.returncode == 0, ended.stderr
    for_classes, for_units, imported = map(ast.literal_eval, ended.stdout.splitlines())
    assert set(for_classes) >= SHIPPED
    assert set(for_units) >= SHIPPED_FOR_UNITS
    assert for_classes == sorted(class_methods(), key=str.lower)
    assert for_units == sorted(unit_methods(), key=str.lower)
    assert imported == []


def test_a_name_taken_twice_and_a_style_that_is_none():
    for decorate in (
        for_classes("occlusion", style="map", passes=1, words=""),
        for_classes("deconvnet", style="map", passes=1, words=""),
        for_units("Grad-CAM", words=""),
    ):
        with pytest.raises(ValueError, match="is registered already"):
            decorate(lambda *arguments: None)
    with pytest.raises(ValueError, match="the style of 'new' is 'loud', and not one of heat, map"):
        for_classes("new", style="loud", passes=1, words="")


NEW = """
from vizlib.inside.evidence import for_classes, for_units


@for_classes("brightness", style="signed", passes=200, words="**Brightness** is no evidence.")
def brightness(model, image, target, say):
    return image[0].sum(0) * (1 + target), {}


@for_units("gradient", words="**The gradient** is the plain one.")
def gradient(values, images):
    import torch

    return torch.autograd.grad(values(images).sum(), images)[0]
"""


@pytest.fixture
def before():
    """The names of the methods for classes that are there anyway."""
    return set(class_methods())


@pytest.fixture
def dropped_in(tmp_path, monkeypatch):
    """A file with two methods in a folder that the package looks into as well."""
    monkeypatch.setattr(methods, "_class_methods", dict(methods._class_methods))
    monkeypatch.setattr(methods, "_unit_methods", dict(methods._unit_methods))
    monkeypatch.setattr(methods, "__path__", [*methods.__path__, str(tmp_path)])
    (tmp_path / "brand_new.py").write_text(NEW, encoding="utf-8")
    yield
    sys.modules.pop("vizlib.inside.evidence.brand_new", None)
    vars(methods).pop("brand_new", None)


def test_a_method_is_one_file(before, dropped_in, model, image):
    assert before >= SHIPPED
    assert set(class_methods()) == {"brightness", *before}
    assert list(class_methods()) == sorted(class_methods(), key=str.lower)
    found = evidence(model, image, 2, "brightness").values
    np.testing.assert_allclose(found, 3 * image[0].sum(0), rtol=1e-6)
    found = of_units(model, image, "5", [4], [None], "gradient")
    own = image.clone().requires_grad_()
    expected = torch.autograd.grad(model.eval()(own)[0, 4], own)[0]
    np.testing.assert_allclose(found, expected, atol=1e-7)


def test_a_method_is_one_file_and_on_the_page(before, dropped_in):
    app = ended(fine(opened(ROOT / "pages/5_Class_evidence.py", model="digits_three_layer")))
    names = sorted(before | {"brightness"}, key=str.lower)
    assert [text.partition(" for ")[0] for text in pictures(app)] == [
        name for name in names for _ in range(2)
    ]
    assert "**Brightness** is no evidence." in texts(app)
    count = {4: "four", 5: "five", 6: "six"}.get(len(names), "several")
    assert f"{count.capitalize()} methods ask the network in {count} ways" in texts(app)
    # which pages do not look for in these tests: kept in the run's folder, for them to find
    of_run(folders.open_run("digits_three_layer"), datasets.load("digits"))
    app = ended(fine(opened(ROOT / "pages/4_Unit.py", model="digits_three_layer")))
    assert "**Gradient**" in texts(app)
    said = [element.value for element in app.main.caption]
    assert "**The gradient** is the plain one." in said
