"""A checkpoint from elsewhere: which network it is of, what its file does not say, and the run that
it becomes. The oracle is the network that the file was saved from.
"""

import json
from collections import OrderedDict
from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
import safetensors.torch
import torch
from torch import nn

from vizlib import architectures, datasets
from vizlib.bring import alignment, known, models, opening, sources, trying
from vizlib.bring.models import BGR, RGB
from vizlib.bring.recognition import ALONE, BY_NAME, BY_ORDER, BY_SHAPE, PARTLY, REBUILT, recognise
from vizlib.datasets import Dataset, Split
from vizlib.errors import UserError
from vizlib.inside.activations import forward
from vizlib.inside.model import load_model
from vizlib.run import folders
from vizlib.run.predictions import load_predictions
from vizlib.run.weights import load_weights
from vizlib.training.evaluation import answer

CLOSE = 1e-5


def made(name, **arguments):
    """A network of that name, with statistics of batch normalisation that are no defaults."""
    torch.manual_seed(7)
    model = architectures.create(name, **arguments)
    for module in model.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.running_mean.uniform_(-0.5, 0.5)
            module.running_var.uniform_(0.5, 2)
    return model.eval()


def shapes(model):
    return {name: tuple(tensor.shape) for name, tensor in model.state_dict().items()}


def renamed(state_dict, *pairs):
    new = OrderedDict()
    for name, tensor in state_dict.items():
        for old, other in pairs:
            name = name.replace(old, other)
        new[name] = tensor
    return new


def logits_of(run, images):
    return forward(load_model(run), images)


def saved(path, content):
    torch.save(content, path)
    return path


def settings_of(candidate, **changes):
    return replace(models.guesses(candidate), **changes)


# Recognised by name


KNOWN = [
    ("resnet18_cifar", {"num_classes": 7}),
    ("lenet", {"num_classes": 5, "in_channels": 1, "image_size": 28}),
    ("resnet32", {"num_classes": 3, "in_channels": 1, "widths": (8, 12, 20)}),
    ("three_layer_module", {"num_classes": 4, "image_size": 48, "widths": (12, 8)}),
    ("vgg16_slim", {"num_classes": 6}),
    ("vgg16_slim_bn", {"num_classes": 6}),
    ("mobilenet", {"num_classes": 6}),
    ("mobilenet_two_norms", {"num_classes": 6, "in_channels": 1}),
    ("akamaster/resnet20", {"num_classes": 11}),
    ("kuangliu/MobileNetV2", {"num_classes": 2}),
    ("chenyaofo/vgg11_bn", {"num_classes": 10}),
    ("torchvision/squeezenet1_1", {"num_classes": 9}),
]


@pytest.mark.parametrize(("name", "arguments"), KNOWN, ids=[name for name, _ in KNOWN])
def test_a_network_is_recognised_by_its_names_with_what_its_shapes_tell(name, arguments):
    candidates = recognise(shapes(made(name, **arguments)))
    assert name in [candidate.architecture for candidate in candidates]
    [candidate] = [each for each in candidates if each.architecture == name]
    assert candidate.how == BY_NAME
    assert candidate.is_usable
    assert candidate.num_classes == arguments["num_classes"]
    assert candidate.input_size[0] == arguments.get("in_channels", 3)
    if "image_size" in arguments:
        assert candidate.input_size[1:] == (arguments["image_size"],) * 2
    built = architectures.create(name, **candidate.arguments)
    assert shapes(built) == shapes(made(name, **arguments))


def test_counters_of_steps_and_of_operations_are_no_weights():
    state = shapes(made("akamaster/resnet20"))
    old = {name: shape for name, shape in state.items() if "num_batches" not in name}
    counted = {**old, "total_ops": (1,), "layer1.total_params": (1,)}
    for given in (state, old, counted):
        assert recognise(given)[0].is_usable


# Recognised by order and by the tree of names


def test_other_names_in_the_same_order_are_mapped_and_compute_the_same(runs_root, tmp_path):
    model = made("kuangliu/ResNet18", num_classes=6)
    state = renamed(
        model.state_dict(), ("layer", "body.stage"), ("shortcut", "skip"), ("linear", "head")
    )
    brought = sources.from_file(saved(tmp_path / "net.pth", state))
    candidate = brought.candidates[0]
    assert candidate.how == BY_ORDER
    assert "likely" in candidate.sentence
    run = models.add(candidate, brought.tensors, settings_of(candidate), "net", brought.origin)
    images = torch.rand(3, 3, 32, 32)
    torch.testing.assert_close(logits_of(run, images), model(images), rtol=CLOSE, atol=CLOSE)


class _ShortcutFirst(nn.Module):
    """A basic block that defines its shortcut first, and both norms after both convolutions."""

    def __init__(self, before, after, stride):
        super().__init__()
        if stride > 1 or before != after:
            self.a_skip = nn.Sequential(
                nn.Conv2d(before, after, 1, stride, bias=False), nn.BatchNorm2d(after)
            )
        self.conv_a = nn.Conv2d(before, after, 3, stride, 1, bias=False)
        self.conv_b = nn.Conv2d(after, after, 3, 1, 1, bias=False)
        self.norm_a, self.norm_b = nn.BatchNorm2d(after), nn.BatchNorm2d(after)

    def forward(self, maps):
        inner = self.norm_b(self.conv_b(self.norm_a(self.conv_a(maps)).relu()))
        return (inner + (self.a_skip(maps) if hasattr(self, "a_skip") else maps)).relu()


class _Otherwise(nn.Module):
    """A ResNet-18 for small pictures, written by somebody else, its head defined first."""

    def __init__(self):
        super().__init__()
        self.head = nn.Linear(512, 5)
        self.stem_conv = nn.Conv2d(3, 64, 3, 1, 1, bias=False)
        self.stem_norm = nn.BatchNorm2d(64)
        widths = [64, 64, 128, 256, 512]
        self.blocks = nn.ModuleList(
            nn.Sequential(
                _ShortcutFirst(before, after, 1 + (before != after)),
                _ShortcutFirst(after, after, 1),
            )
            for before, after in pairwise(widths)
        )

    def forward(self, images):
        maps = self.stem_norm(self.stem_conv(images)).relu()
        for block in self.blocks:
            maps = block(maps)
        return self.head(maps.mean((2, 3)))


@pytest.mark.parametrize("ending", ["pth", "safetensors"])
def test_blocks_that_define_their_parts_in_another_order_are_told_by_the_tree(
    runs_root, tmp_path, ending
):
    torch.manual_seed(3)
    model = _Otherwise().eval()
    for module in model.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.running_mean.uniform_(-0.5, 0.5)
    path = tmp_path / f"otherwise.{ending}"
    if ending == "pth":
        torch.save(model.state_dict(), path)
    else:
        safetensors.torch.save_file(model.state_dict(), path)
    brought = sources.from_file(path)
    candidate = brought.candidates[0]
    assert candidate.how in (BY_ORDER, BY_SHAPE)
    run = models.add(candidate, brought.tensors, settings_of(candidate), "net", brought.origin)
    images = torch.rand(2, 3, 32, 32)
    torch.testing.assert_close(logits_of(run, images), model(images), rtol=1e-4, atol=1e-4)


def test_tensors_of_one_shape_are_never_exchanged_by_the_order_of_a_sorted_file():
    own = {"bn.weight": (4,), "bn.bias": (4,), "bn.running_mean": (4,), "bn.running_var": (4,)}
    given = {f"norm.{name.partition('.')[2]}": shape for name, shape in sorted(own.items())}
    for align in (alignment.by_order, alignment.by_tree, alignment.by_shape):
        assert align(own, given) == {name: name.replace("bn", "norm") for name in own}


def test_numbers_in_names_are_numbers():
    names = ["layer10.a", "layer2.a", "layer1.b"]
    assert sorted(names, key=alignment.natural) == ["layer1.b", "layer2.a", "layer10.a"]


# Not all there


def test_what_is_missing_misshapen_and_unexpected_is_said(tmp_path):
    state = made("akamaster/resnet20", num_classes=10).state_dict()
    state["conv1.weight"] = torch.zeros(16, 3, 5, 5)
    state["extra.weight"] = torch.zeros(2)
    del state["layer2.0.bn1.bias"]
    given = {name: tuple(tensor.shape) for name, tensor in state.items()}
    candidate = next(each for each in recognise(given) if each.architecture == "akamaster/resnet20")
    assert candidate.how == PARTLY
    assert not candidate.is_usable
    assert candidate.missing == ["layer2.0.bn1.bias"]
    assert candidate.misshapen == [("conv1.weight", (16, 3, 3, 3), (16, 3, 5, 5))]
    assert candidate.unexpected == ["extra.weight"]
    whats = {what.partition(":")[0] for _, _, what in candidate.table()}
    assert whats == {"matched", "missing", "unexpected", "wrong shape"}
    with pytest.raises(UserError, match=r"layer2\.0\.bn1\.bias.*16x3x5x5 and not 16x3x3x3"):
        models.fitted(candidate, state)


def test_tensors_that_a_network_has_no_place_for_are_left_out(runs_root, tmp_path):
    model = made("akamaster/resnet20")
    state = {**model.state_dict(), "memory.queue": torch.zeros(7)}
    brought = sources.from_file(saved(tmp_path / "a.pth", state))
    candidate = brought.candidates[0]
    assert candidate.unexpected == ["memory.queue"]
    run = models.add(candidate, brought.tensors, settings_of(candidate), "a", brought.origin)
    images = torch.rand(2, 3, 32, 32)
    torch.testing.assert_close(logits_of(run, images), model(images), rtol=CLOSE, atol=CLOSE)


# Several that fit, chains, and weights alone


def test_networks_that_compute_the_same_are_one_with_its_other_names(tmp_path):
    brought = sources.from_file(saved(tmp_path / "a.pt", made("lenet").state_dict()))
    first = brought.candidates[0]
    assert first.architecture == "lenet"
    assert "tutorials/cifar10" in first.aliases
    names = [name for each in brought.candidates for name in (each.architecture, *each.aliases)]
    assert len(names) == len(set(names))


def test_a_chain_of_layers_is_rebuilt_and_says_what_it_assumes(runs_root, tmp_path):
    torch.manual_seed(1)
    model = nn.Sequential(
        nn.Conv2d(3, 9, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2),
        nn.Conv2d(9, 14, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2),
        nn.Flatten(), nn.Linear(14 * 64, 23), nn.ReLU(), nn.Linear(23, 4),
    ).eval()  # fmt: skip
    brought = sources.from_file(saved(tmp_path / "mine.pt", model.state_dict()))
    candidate = brought.candidates[0]
    assert candidate.how == REBUILT
    assert "pool" in candidate.sentence
    assert candidate.num_classes == 4
    run = models.add(candidate, brought.tensors, settings_of(candidate), "mine", brought.origin)
    images = torch.rand(2, 3, 32, 32)
    torch.testing.assert_close(logits_of(run, images), model(images), rtol=CLOSE, atol=CLOSE)


def _with_a_head(model, at, *layers):
    model.set_submodule(at, nn.Sequential(*layers))
    return model.eval()


@pytest.mark.parametrize(
    ("base", "at", "layers"),
    [
        ("torchvision/resnet18", "fc",
         [nn.Linear(512, 31), nn.ReLU(), nn.Dropout(0.4), nn.Linear(31, 6)]),
        ("torchvision/mobilenet_v3_small", "classifier",
         [nn.Dropout(0.2), nn.Linear(576, 40), nn.BatchNorm1d(40), nn.ReLU(), nn.Linear(40, 3)]),
        ("kuangliu/ResNet18", "linear", [nn.Dropout(), nn.Linear(512, 20), nn.ReLU(),
         nn.Linear(20, 12), nn.ReLU(), nn.Linear(12, 4)]),
    ],
)  # fmt: skip
def test_a_known_network_with_a_head_of_its_own(runs_root, tmp_path, base, at, layers):
    torch.manual_seed(2)
    model = _with_a_head(made(base), at, *layers)
    brought = sources.from_file(saved(tmp_path / "transfer.pth", model.state_dict()))
    candidate = brought.candidates[0]
    assert candidate.base == base or base in candidate.aliases
    assert candidate.num_classes == layers[-1].out_features
    run = models.add(candidate, brought.tensors, settings_of(candidate), "own", brought.origin)
    assert run.config.title == f"{candidate.base} with a head of its own"
    images = torch.rand(2, 3, 64, 64)
    torch.testing.assert_close(logits_of(run, images), model(images), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(
    "arguments",
    [
        {"base": "os", "at": "fc", "layers": [{"kind": "linear", "name": "0", "in": 2, "out": 2}]},
        {"base": "chain/net", "at": "fc", "layers": []},
        {"base": "lenet", "at": "", "layers": [{"kind": "linear", "name": "0", "in": 2, "out": 2}]},
        {"base": "lenet", "at": "__class__", "layers": [{"kind": "flatten", "name": "a"}]},
        {"base": "lenet", "at": "fc3", "layers": [{"kind": "system", "name": "0"}]},
        {"base": 3, "at": ["fc3"], "layers": {"a": 1}},
    ],
)
def test_a_head_that_is_none_is_refused_in_a_sentence(arguments):
    with pytest.raises(UserError):
        architectures.create("headed/net", **arguments)


def test_where_nothing_fits_the_weights_are_there_alone(runs_root, tmp_path):
    state = {"a.kernel": torch.rand(5, 3, 7, 7), "b.wq": torch.rand(6, 9), "c": torch.rand(3)}
    brought = sources.from_file(saved(tmp_path / "odd.pth", state))
    [candidate] = brought.candidates
    assert candidate.how == ALONE
    run = models.add(candidate, brought.tensors, settings_of(candidate), "odd", brought.origin)
    assert run.is_bare
    held = load_model(run).state_dict()
    assert held.keys() == state.keys()
    assert all(torch.equal(held[name], state[name]) for name in state)


def test_weights_that_are_no_numbers_can_be_looked_at_and_not_computed_with(runs_root, tmp_path):
    state = made("lenet").state_dict()
    state["conv2.weight"][3, 1, 2, 2] = float("nan")
    brought = sources.from_file(saved(tmp_path / "nan.pt", state))
    assert any("conv2.weight" in remark for remark in brought.remarks)
    [candidate] = brought.candidates
    assert candidate.how == ALONE
    run = models.add(candidate, brought.tensors, settings_of(candidate), "nan", brought.origin)
    assert torch.isnan(load_model(run).state_dict()["conv2.weight"][3, 1, 2, 2])


# The run


def test_an_imported_run_says_where_it_comes_from_and_keeps_every_value(runs_root, tmp_path):
    model = made("akamaster/resnet20", num_classes=4)
    names = ["ant", "bee", "cow", "dog"]
    content = {"state_dict": model.state_dict(), "epoch": 77, "class_to_idx": dict(
        zip(names, range(4), strict=True))}  # fmt: skip
    path = saved(tmp_path / "my net (best).pth.tar", content)
    brought = sources.from_file(path)
    assert brought.class_names == names
    assert any("epoch 77" in remark for remark in brought.remarks)
    candidate = brought.candidates[0]
    settings = models.guesses(candidate, class_names=brought.class_names)
    assert settings.mean == pytest.approx([0.485, 0.456, 0.406])  # as its source has it
    run = models.add(
        candidate, brought.tensors, settings, models.run_name(brought.name), brought.origin
    )
    assert run.run_id == "my-net-best"
    assert run.status == "imported"
    assert not run.can_resume
    assert not run.is_active
    assert run.class_names == names
    assert run.config.origin["file"] == path.name
    assert len(run.config.origin["sha256"]) == 64
    assert run.provenance == f"imported from {path.name}"
    [event] = run.events_of("imported")
    assert event["parameters"] == sum(each.numel() for each in model.parameters())
    again = json.loads((run.folder / "config.json").read_text())
    assert again["origin"] == run.config.origin
    weights = safetensors.torch.load_file(run.path("model.safetensors"))
    assert all(torch.equal(weights[name], each) for name, each in model.state_dict().items())


def test_classes_in_another_order_than_the_data_set_s_are_told_by_their_names(runs_root, tmp_path):
    """The oracle is a shipped network, whose answers are stored; its classes in another order, no
    two of which are exchanged, as a file from elsewhere has them.
    """
    known = folders.open_run("digits_three_layer")
    names = ["2", "0", "9", "4", "1", "8", "5", "6", "3", "7"]
    state = load_weights(known.path("model.safetensors"))
    for name in list(state)[-2:]:
        state[name] = state[name][[int(class_name) for class_name in names]]
    brought = sources.from_file(saved(tmp_path / "net.pth", {"state_dict": state}))
    candidate = brought.candidates[0]
    settings = settings_of(
        candidate, class_names=names, mean=known.config.mean, std=known.config.std
    )
    data = replace(datasets.load("digits"), ordered=True)
    run = models.add(candidate, brought.tensors, settings, "net", brought.origin, data)
    assert not run.config.ordered, "they are no grades in this order"
    stored = load_predictions(known.path("predictions.npz"), 10)
    for given in (data, datasets.load_for(run.config)):
        answered = answer(run, given)
        assert np.array_equal(answered.image_ids, stored.image_ids)
        for kind in ("labels", "predicted_labels"):
            said = [int(names[label]) for label in getattr(answered, kind)]
            assert said == getattr(stored, kind).tolist()
        assert run.events_of("answered")[-1]["test_accuracy"] == stored.accuracy > 0.9
    with pytest.raises(UserError, match="in another order"):
        datasets.load_for(replace(run.config, origin=None))


def test_a_second_import_of_one_name_gets_a_number(runs_root, tmp_path):
    brought = sources.from_file(saved(tmp_path / "a.pt", made("lenet").state_dict()))
    candidate = brought.candidates[0]
    ids = [
        models.add(candidate, brought.tensors, settings_of(candidate), "a", brought.origin).run_id
        for _ in range(2)
    ]
    assert ids == ["a", "a-2"]


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"class_names": ["a", "b"]}, "10 classes apart, and 2 are named"),
        ({"mean": [0.5]}, "3 numbers each"),
        ({"std": [0.5, 0.0, 0.5]}, "greater than 0"),
        ({"input_size": (3, 20, 20)}, "cannot take images of 3 x 20 x 20"),
    ],
)
def test_settings_that_do_not_fit_are_refused_and_nothing_is_written(
    runs_root, tmp_path, changes, words
):
    brought = sources.from_file(saved(tmp_path / "a.pt", made("lenet").state_dict()))
    candidate = brought.candidates[0]
    with pytest.raises(UserError, match=words):
        models.add(
            candidate,
            brought.tensors,
            settings_of(candidate, **changes),
            "a",
            brought.origin,
        )
    assert not list(runs_root.iterdir())


def test_a_network_that_takes_blue_first_is_turned_round_and_answers_the_same(runs_root, tmp_path):
    model = made("akamaster/resnet20", num_classes=3)
    brought = sources.from_file(saved(tmp_path / "bgr.pt", model.state_dict()))
    candidate = brought.candidates[0]
    mean, std = [0.1, 0.2, 0.4], [0.9, 1.1, 1.3]
    settings = settings_of(candidate, mean=mean, std=std, order=BGR)
    run = models.add(candidate, brought.tensors, settings, "bgr", brought.origin)
    pixels = torch.rand(2, 3, 32, 32)

    def scaled(images, mean, std):
        return (images - torch.tensor(mean).view(3, 1, 1)) / torch.tensor(std).view(3, 1, 1)

    wanted = model(scaled(pixels.flip(1), mean, std))
    given = logits_of(run, scaled(pixels, run.config.mean, run.config.std))
    torch.testing.assert_close(given, wanted, rtol=CLOSE, atol=CLOSE)
    assert run.config.mean == mean[::-1]


# Tried on labelled pictures


def labelled(model, mean, std, count=90):
    """A Dataset whose labels are what a network answers to its pictures, read in one way only."""
    rng = np.random.default_rng(5)
    pictures = rng.integers(0, 256, (count, 32, 32, 3), dtype=np.uint8)
    # a colour for each picture: noise alone all looks alike to a random network
    tint = rng.uniform(0.1, 1, (count, 1, 1, 3))
    pictures = (pictures * tint).astype(np.uint8)
    images = torch.from_numpy(pictures).permute(0, 3, 1, 2) / 255
    shift, scale = (torch.tensor(each).view(3, 1, 1) for each in (mean, std))
    with torch.no_grad():
        labels = model((images - shift) / scale).argmax(1).numpy()
    ids = np.array([f"train/{number}" for number in range(count)])
    split = Split(pictures, labels, ids)
    return Dataset(
        "made", [f"c{n}" for n in range(10)], (3, 32, 32), [0.5] * 3, [0.2] * 3,
        {"train": split, "test": split}, "made by the test",
    )  # fmt: skip


@pytest.mark.parametrize("name", ["ImageNet", "-1 to 1", "0 to 255"])
def test_the_normalisation_that_a_network_was_trained_with_is_found(tmp_path, name):
    from vizlib.datasets.usual import OF_COLOURS

    model = made("lenet")
    dataset = labelled(model, *OF_COLOURS[name])
    brought = sources.from_file(saved(tmp_path / "a.pt", model.state_dict()))
    split, which = trying.sample(dataset, dataset.class_names)
    assert which == "90 train images"
    told = []
    results = trying.tried(brought.candidates[:1], brought.tensors, split, dataset, told.append)
    assert (results[0].normalisation, results[0].order) == (name, RGB)
    assert results[0].accuracy == 1
    assert results[0].images == 90
    assert results[-1].accuracy < 0.9
    settled = results[0].settled(settings_of(brought.candidates[0]))
    assert (settled.mean, settled.std) == OF_COLOURS[name]
    assert told == sorted(told)
    assert told[-1] == 1


def test_data_tell_two_networks_of_the_same_tensors_apart(tmp_path):
    model = made("lenet5/features_tanh_mean", in_channels=3)
    dataset = labelled(model, [0.0] * 3, [1.0] * 3)
    brought = sources.from_file(saved(tmp_path / "a.pt", model.state_dict()))
    usable = [each for each in brought.candidates if each.is_usable]
    assert len(usable) > 1
    split, _ = trying.sample(dataset, dataset.class_names)
    best = trying.tried(usable, brought.tensors, split, dataset)[0]
    chosen = usable[best.candidate]
    assert "lenet5/features_tanh_mean" in (chosen.architecture, *chosen.aliases)


def test_the_index_of_known_networks_is_that_of_what_is_there():
    kept = json.loads(known.FILE.read_text(encoding="utf-8"))
    assert list(kept) == known.all_names(), "python -m vizlib.bring.known writes it anew"
    for name in known.all_names()[::9]:
        assert kept[name] == known.entry_of(known.shapes_of(name)), name


def test_settings_guessed_without_a_word_are_those_of_the_source_or_of_the_classes():
    candidate = recognise(shapes(made("resnet32", in_channels=1)))[0]
    assert models.guesses(candidate).mean == pytest.approx([0.1307])
    candidate = recognise(shapes(made("resnet32", num_classes=10)))[0]
    assert models.guesses(candidate).mean == pytest.approx([0.4914, 0.4822, 0.4465])
    assert models.guesses(candidate).class_names[3] == "class 3"


def test_told_apart_leaves_out_what_does_not_take_its_own_pictures():
    candidate = recognise(shapes(made("lenet")))[0]
    wrong = replace(candidate, input_size=(3, 64, 64))
    tensors = made("lenet").state_dict()
    assert opening.told_apart([wrong, candidate], tensors) == [candidate]


def test_names_of_runs_are_made_of_names_of_files():
    assert models.run_name("ResNet 18.best.pth.tar") == "ResNet-18.best"
    assert models.run_name("../../été.ckpt") == "t"
    assert models.run_name("....pt") == "network"
    assert folders._RUN_ID.fullmatch(models.run_name("a" * 300))
