"""What weights alone can show: planted faults are found, spectra are those of closed forms, and the
pages open on a run of which only the weights are known.
"""

import csv
import io
import json

import numpy as np
import pytest
import torch
from torch import nn

from tests.test_pages import PAGES, ROOT, fine, opened, texts
from vizlib import architectures
from vizlib.architectures.elsewhere import bare
from vizlib.bring import chains
from vizlib.displays.filter_check import FilterCheckDisplay
from vizlib.displays.filter_spectrum import FilterSpectrumDisplay
from vizlib.displays.kernel_frequencies import SIDE, KernelFrequenciesDisplay
from vizlib.displays.tensor_sizes import TensorSizesDisplay
from vizlib.displays.weight_histogram import WeightHistogramDisplay
from vizlib.errors import UserError
from vizlib.inside.filter_banks import banks_of_tensors, filter_banks
from vizlib.inside.layers import layer_table
from vizlib.run.config import WEIGHTS_ALONE, RunConfig
from vizlib.run.folders import claim_folder, read_run
from vizlib.run.weights import save_weights


def random_bank(*shape, seed=3):
    return np.random.default_rng(seed).normal(size=shape).astype(np.float32)


# The check of filters


def test_planted_faults_are_found():
    weight = random_bank(20, 3, 5, 5)
    weight[6] = 0
    weight[11] *= 1e-4
    weight[9] = -2.5 * weight[4]
    weight[15] = weight[4]
    weight[13, 1, 2, 2] = np.nan
    weight[17, 0, 0, 0] = -np.inf
    display = FilterCheckDisplay.from_weight(weight)
    assert display.dead == (6, 11)
    assert display.not_finite == (13, 17)
    assert display.copies == {9: 4, 15: 4}
    assert display.flagged == [6, 9, 11, 13, 15, 17]
    assert display.sentence == (
        "Of 20 filters 2 are nearly zero (numbers 6, 11), 2 are copies of others (numbers 9 of 4, "
        "15 of 4) and 2 are not finite (numbers 13, 17)."
    )
    assert display.lengths[4] == pytest.approx(np.linalg.norm(weight[4].ravel()), rel=1e-6)
    rows = list(csv.DictReader(io.StringIO(display.csv())))
    assert [row["filter"] for row in rows if row["state"] != "usual"] == [
        *map(str, display.flagged)
    ]
    assert (rows[9]["copy_of"], rows[13]["length"], rows[8]["copy_of"]) == ("4", "nan", "")
    marks = {trace.name: list(trace.x) for trace in display.plot().data}
    assert marks["nearly zero"] == [6, 11]
    assert marks["copy of another"] == [9, 15]
    assert sorted(number for numbers in marks.values() for number in numbers) == list(range(20))


def test_a_sound_bank_is_called_so():
    display = FilterCheckDisplay.from_weight(random_bank(64, 16, 3, 3))
    assert display.flagged == []
    assert display.sentence == (
        "All 64 filters are finite, none is nearly zero or a copy of another."
    )


def test_what_only_looks_alike_is_no_copy():
    """A cosine of 0.99, and a filter of a tenth of the median length."""
    weight = random_bank(9, 4, 3, 3)
    nearly = weight[2] + 0.14 * random_bank(4, 3, 3, seed=8)
    weight[7], weight[5] = nearly, 0.1 * weight[5]
    assert FilterCheckDisplay.from_weight(weight).flagged == []


def test_filters_of_few_weights_are_not_compared():
    display = FilterCheckDisplay.from_weight(random_bank(8, 1, 1, 1))
    assert display.copies == {}
    assert "Copies were not looked for: filters of fewer than 4 weights" in display.sentence
    many = FilterCheckDisplay.from_weight(np.ones((4097, 4), np.float32))
    assert "more than 4,096 filters" in many.sentence


def test_a_bank_of_zeros_or_of_no_numbers_is_said():
    assert FilterCheckDisplay.from_weight(np.zeros((3, 2, 3, 3))).dead == (0, 1, 2)
    display = FilterCheckDisplay.from_weight(np.full((3, 2, 3, 3), np.nan))
    assert display.sentence == "Of 3 filters 3 are not finite (numbers 0, 1, 2)."
    one = FilterCheckDisplay.from_weight(np.stack([random_bank(2, 3, 3)] * 2))
    assert one.sentence == "Of 2 filters 1 is a copy of another (number 1 of 0)."


# Distribution, spectra, sizes


def test_a_histogram_counts_every_finite_weight():
    weight = random_bank(10, 3, 3, 3)
    weight[4, 1, 1] = np.nan, np.inf, -np.inf
    display = WeightHistogramDisplay.from_weight(weight)
    finite = weight[np.isfinite(weight)]
    assert (display.counts.sum(), display.not_finite) == (267, 3)
    assert display.mean == pytest.approx(finite.mean(), abs=1e-6)
    assert display.deviation == pytest.approx(finite.std(), rel=1e-6)
    middle = len(display.counts) // 2
    low, high = display.edges[middle : middle + 2]
    assert display.counts[middle] == np.sum((finite >= low) & (finite < high))
    assert low == pytest.approx(-high)
    assert "3 are not finite" in display.sentence
    assert WeightHistogramDisplay.from_weight(np.zeros((2, 2))).counts.max() == 4


def test_singular_values_are_those_of_the_bank():
    weight = random_bank(12, 3, 5, 5)
    matrix = weight.reshape(12, 75).astype(float)
    expected = np.sqrt(np.linalg.eigvalsh(matrix @ matrix.T)[::-1])
    display = FilterSpectrumDisplay.from_weight(weight)
    np.testing.assert_allclose(display.singular_values, expected, rtol=1e-4)
    weight[7, 1, 1, 1] = np.nan  # left out
    rest = FilterSpectrumDisplay.from_weight(weight).singular_values
    kept = np.delete(matrix, 7, axis=0)
    np.testing.assert_allclose(rest, np.linalg.svd(kept, compute_uv=False), rtol=1e-4)


def test_the_effective_rank_is_that_of_closed_forms():
    one = np.outer(np.array([1.0, -2, 3, 0.5]), random_bank(18)).reshape(4, 2, 3, 3)
    display = FilterSpectrumDisplay.from_weight(one)
    assert display.effective_rank == pytest.approx(1, abs=1e-3)
    assert display.needed == 1
    even = 3 * np.linalg.qr(random_bank(36, 36).astype(float))[0][:6].reshape(6, 4, 3, 3)
    display = FilterSpectrumDisplay.from_weight(even)
    assert display.effective_rank == pytest.approx(6, abs=1e-4)
    assert display.needed == 6
    # shares 1/2, 1/4, 1/4: 2 ** 1.5
    assert FilterSpectrumDisplay(np.array([2.0, 1, 1])).effective_rank == pytest.approx(2**1.5)
    assert FilterSpectrumDisplay(np.array([3.0, 2, 1])).needed == 2  # 9 + 4 of 14
    dead = FilterSpectrumDisplay.from_weight(np.zeros((3, 1, 3, 3)))
    assert (dead.effective_rank, dead.needed) == (0, 0)
    assert dead.plot().data


def test_frequencies_are_where_kernels_have_them():
    constant = KernelFrequenciesDisplay.from_weight(np.ones((1, 2, 7, 7)))
    middle = SIDE // 2
    assert np.unravel_index(constant.power.argmax(), constant.power.shape) == (middle, middle)
    # Parseval: the sum of all power is SIDE ** 2 times the squared length
    weight = random_bank(3, 2, 5, 7)
    display = KernelFrequenciesDisplay.from_weight(weight)
    even = np.square(weight.sum(axis=(2, 3))).sum()
    assert display.power.sum() / display.power[middle, middle] == pytest.approx(
        SIDE**2 * np.square(weight).sum() / even, rel=1e-4
    )
    # upright stripes of a quarter of a cycle a pixel
    stripes = np.cos(np.pi / 2 * np.arange(16)) * np.ones((16, 1))
    power = KernelFrequenciesDisplay.from_weight(stripes[None, None]).power
    row, column = np.unravel_index(power.argmax(), power.shape)
    assert row == middle
    assert abs(abs(column - middle) / SIDE - 0.25) < 1 / SIDE
    with pytest.raises(ValueError, match="5 x 5"):
        KernelFrequenciesDisplay.from_weight(np.ones((2, 2, 3, 7)))


def test_sizes_of_tensors():
    display = TensorSizesDisplay.from_shapes(
        {"a.weight": [8, 3, 5, 5], "count": [], "b.weight": (100, 200), "b.bias": (100,)}
    )
    assert display.values == {"a.weight": 600, "count": 1, "b.weight": 20_000, "b.bias": 100}
    assert display.sentence == "4 tensors, 20,701 values, 82.8 kB; 97% of them are in b.weight."
    assert display.rows()[0] == {
        "tensor": "a.weight",
        "kind": "filters",
        "shape": "8 × 3 × 5 × 5",
        "values": 600,
        "size": "2.4 kB",
    }
    many = TensorSizesDisplay.from_shapes({f"t{number}": (number,) for number in range(100)})
    assert len(many.plot().data[0].y) == 60
    assert TensorSizesDisplay({}).sentence == "0 tensors without any value."


# Banks of filters


def test_filters_of_a_linear_layer_that_looks_at_the_picture():
    network = nn.Sequential(nn.Flatten(), nn.Linear(48, 5), nn.ReLU(), nn.Linear(5, 48))
    [bank] = filter_banks(network, layer_table(network, (3, 4, 4)), (3, 4, 4))
    assert (bank.layer_name, bank.reads_picture, bank.is_linear) == ("1", True, True)
    picture = torch.randn(3, 4, 4, generator=torch.Generator().manual_seed(1))
    whole = (bank.weight * picture).sum(dim=(1, 2, 3)) + network[1].bias
    torch.testing.assert_close(whole, network[1](picture.flatten()))
    assert filter_banks(network, layer_table(network, (12, 2, 2)), (3, 5, 5)) == []


def test_banks_of_weights_alone():
    tensors = {
        "fc.weight": torch.zeros(10, 784),
        "stem.kernel": torch.zeros(8, 3, 5, 5),
        "none.weight": torch.zeros(0, 3, 5, 5),
        "deep.1.weight": torch.zeros(4, 3, 3, 3),
    }
    banks = banks_of_tensors(tensors)
    assert [(bank.layer_name, bank.reads_picture) for bank in banks] == [
        ("stem.kernel", True),
        ("deep.1", False),
    ]
    for columns, shape in ((784, (1, 28, 28)), (3072, (3, 32, 32)), (1024, (1, 32, 32))):
        [bank] = banks_of_tensors({"x": torch.zeros(9), "w": torch.zeros(6, columns)})
        assert tuple(bank.weight.shape) == (6, *shape)
        assert bank.is_linear
    for columns in (783, 12, 0):
        assert banks_of_tensors({"w": torch.zeros(6, columns)}) == []


# Weights alone, as an architecture and on the pages


def test_weights_alone_have_the_names_of_their_file():
    shapes = {"type.weight": [4, 3], "a": [2], "a.b": [3], "x..y": [], "forward.0.w": [0, 7]}
    network = architectures.create(WEIGHTS_ALONE, shapes=json.loads(json.dumps(shapes)))
    state = network.state_dict()
    assert {name: list(tensor.shape) for name, tensor in state.items()} == shapes
    drawn = {name: torch.rand(tensor.shape) for name, tensor in state.items()}
    network.load_state_dict(drawn)
    assert all(torch.equal(network.state_dict()[name], drawn[name]) for name in drawn)
    with pytest.raises(UserError, match="Only the weights"):
        network.eval()(torch.zeros(1, 3, 8, 8))


@pytest.mark.parametrize(
    ("shapes", "reason"),
    [
        (None, "from 1 to"),
        ({}, "from 1 to"),
        (["a"], "from 1 to"),
        ({f"t{number}": [] for number in range(bare.MOST_TENSORS + 1)}, "from 1 to"),
        ({"x" * 501: [1]}, "no name"),
        ({"." * 40: [1]}, "no name"),
        ({"a": 3}, "no shape"),
        ({"a": [1] * 9}, "no shape"),
        ({"a": [2, -1]}, "a size that is none"),
        ({"a": [2.5]}, "a size that is none"),
        ({"a": [True]}, "a size that is none"),
        ({"a": [10**5, 10**5]}, "at most 250,000,000"),
        ({"a": [2 * 10**8], "b": [10**8]}, "at most 250,000,000"),
    ],
)
def test_hostile_shapes_are_refused_in_a_sentence(shapes, reason):
    with pytest.raises(UserError, match=reason) as error:
        architectures.create(WEIGHTS_ALONE, shapes=shapes)
    assert len(str(error.value)) < 200


def imported(name, tensors, architecture, arguments, input_size):
    """A run of a file of weights."""
    config = RunConfig(
        title="",
        architecture=architecture,
        arguments=arguments,
        dataset="",
        dataset_note=None,
        ordered=False,
        class_names=["class 0", "class 1"],
        input_size=list(input_size),
        mean=[0.5] * input_size[0],
        std=[0.5] * input_size[0],
        validation=0,
        recipe={},
        start=None,
        frozen=0,
        system=None,
        seed=0,
        versions={},
        origin={"file": f"{name}.pth", "sha256": "0" * 64},
    )
    folder = claim_folder(name, config)
    save_weights(tensors, folder / "model.safetensors")
    event = {"event": "imported", "time": 1.0, "parameters": 5}
    (folder / "events.jsonl").write_text(json.dumps(event) + "\n")
    return read_run(folder)


@pytest.fixture
def odd_run(root):
    """Weights alone, with planted faults in the first bank."""
    left = torch.from_numpy(random_bank(24, 3, 7, 7))
    left[5] = 0
    left[12], left[20] = -2 * left[3], left[3]
    tensors = {
        "head.weight": torch.from_numpy(random_bank(10, 64)),
        "left.weight": left,
        "type.weight": torch.from_numpy(random_bank(6, 24, 3, 3)),
        "steps": torch.tensor(7),
    }
    shapes = {name: list(tensor.shape) for name, tensor in tensors.items()}
    return imported("odd", tensors, WEIGHTS_ALONE, {"shapes": shapes}, (3, 32, 32))


def test_every_page_opens_on_weights_alone(odd_run):
    for page in PAGES:
        app = fine(opened(page, model="odd"))
        assert app.selectbox(key="model").value == "odd", page.stem
        if page.stem.partition("_")[2] in ("Feature_maps", "Unit", "Class_evidence", "Film"):
            assert "Only the weights of" in app.info[0].value, page.stem


def test_filters_of_weights_alone(odd_run):
    app = fine(opened(ROOT / "pages/2_Filters.py", model="odd", weights="true"))
    assert app.selectbox(key="layer").options == ["left", "type"]
    said = texts(app)
    assert "24 filters of 7 × 7" in said
    assert "Only the weights are known" in said
    assert (
        "1 is nearly zero (number 5) and 2 are copies of others (numbers 12 of 3, 20 of 3)" in said
    )
    app.pills(key="flagged").set_value(12).run()
    assert fine(app).number_input(key="unit").value == 12
    for view, words in (
        ("Distribution", "3,528 weights"),
        ("Spectrum", "Effective rank"),
        ("All tensors", "4 tensors, 5,465 values"),
    ):
        app.segmented_control(key="weights_view").set_value(view).run()
        assert words in texts(fine(app)), view
    app.selectbox(key="layer").set_value("type").run()
    assert "6 filters of 3 × 3" in texts(fine(app))


def test_the_architecture_of_weights_alone_is_a_table(odd_run):
    app = fine(opened(ROOT / "pages/1_Architecture.py", model="odd"))
    [table] = app.dataframe
    assert list(table.value["tensor"]) == ["head.weight", "left.weight", "type.weight", "steps"]
    assert list(table.value["shape"]) == ["10 × 64", "24 × 3 × 7 × 7", "6 × 24 × 3 × 3", ""]


def test_a_network_without_filters_says_so(root):
    tensors = {"lstm.weight_ih_l0": torch.zeros(80, 21), "names": torch.zeros(3)}
    shapes = {name: list(tensor.shape) for name, tensor in tensors.items()}
    imported("flat", tensors, WEIGHTS_ALONE, {"shapes": shapes}, (3, 32, 32))
    app = fine(opened(ROOT / "pages/2_Filters.py", model="flat"))
    assert "has no filters" in app.info[0].value
    assert list(app.dataframe[0].value["tensor"]) == list(tensors)


def test_a_chain_of_linear_layers_shows_its_pictures(root):
    network = nn.Sequential(nn.Flatten(), nn.Linear(784, 12), nn.ReLU(), nn.Linear(12, 2))
    shapes = {name: tuple(tensor.shape) for name, tensor in network.state_dict().items()}
    [proposal] = chains.propose(shapes)
    arguments = {"layers": proposal.layers}
    imported("perceptron", network.state_dict(), "chain/net", arguments, proposal.input_size)
    app = fine(opened(ROOT / "pages/2_Filters.py", model="perceptron"))
    said = texts(app)
    assert "12 filters of 28 × 28" in said
    assert "A linear layer" in said
    assert "weights of the file" in said


def test_a_trained_run_shows_what_its_weights_say_at_the_step_in_view():
    query = dict(model="digits_three_layer", weights="true", weights_view="Distribution")
    app = fine(opened(ROOT / "pages/2_Filters.py", **query))
    at_end = texts(app)
    assert "800 weights" in at_end
    [first, *_] = app.select_slider[0].options
    app.select_slider[0].set_value(first).run()
    assert "800 weights" in texts(fine(app))
    assert texts(app) != at_end
