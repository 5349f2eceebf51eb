"""Muon and its companions, the whitening first layer of airbench, and the choice of threads."""

import pytest
import torch
import torch.nn.functional as F

from vizlib import architectures
from vizlib.training import threads
from vizlib.training.optimisers import (
    BIAS_SHARE,
    COMPANION_MOMENTUM,
    MATRIX_SHARE,
    Muon,
    make_optimisers,
    orthogonal,
)
from vizlib.training.recipes import recipe


@pytest.mark.parametrize("shape", [(32, 216), (96, 27), (10, 10)])
def test_a_step_of_muon_goes_equally_far_in_all_directions(shape):
    """The singular vectors stay, the singular values, here of 1 to 1/30, come near to one."""
    generator = torch.Generator().manual_seed(0)
    left, _, right = torch.linalg.svd(torch.randn(*shape, generator=generator), full_matrices=False)
    values = torch.logspace(0, -1.5, min(shape))
    found = left.T @ orthogonal(left @ values.diag() @ right) @ right.T
    assert found.diagonal().min() > 0.3
    assert found.diagonal().max() < 1.3
    assert (found - found.diagonal().diag()).abs().max() < 0.05  # bfloat16


def test_muon_by_hand():
    """Two steps against the definition: Nesterov's momentum, the norm sqrt(out) before, then the
    orthogonal step.
    """
    filters = torch.nn.Parameter(
        torch.randn(4, 3, 2, 2, generator=torch.Generator().manual_seed(1))
    )
    expected, average = filters.detach().clone(), torch.zeros(4, 3, 2, 2)
    optimiser = Muon([{"params": [filters], "share": 1.0}], lr=0.1, momentum=0.6)
    for seed in (2, 3):
        filters.grad = torch.randn(4, 3, 2, 2, generator=torch.Generator().manual_seed(seed))
        average = 0.6 * average + filters.grad
        expected = expected * 2 / expected.norm() - 0.1 * orthogonal(
            (filters.grad + 0.6 * average).flatten(1)
        ).view(4, 3, 2, 2)
        optimiser.step()
        assert torch.allclose(filters, expected, atol=1e-5)


def test_each_parameter_of_airbench_has_its_optimiser():
    model, chosen = architectures.create("airbench"), recipe("minute")
    muon, companion = make_optimisers(model, chosen)
    filters, others = (
        [parameter for group in optimiser.param_groups for parameter in group["params"]]
        for optimiser in (muon, companion)
    )
    assert {id(parameter) for parameter in [*filters, *others]} == {
        id(parameter) for parameter in model.parameters() if parameter.requires_grad
    }
    assert all(parameter.ndim == 4 for parameter in filters)
    assert len(filters) == 6
    assert len(others) == 7
    shares = {group["params"][0].ndim: group["share"] for group in companion.param_groups}
    assert shares == {
        1: pytest.approx(500 * BIAS_SHARE),
        2: pytest.approx(500 * MATRIX_SHARE / 192**2),
    }
    assert {group["momentum"] for group in companion.param_groups} == {COMPANION_MOMENTUM}
    assert not any(parameter is model.conv1.weight for parameter in filters)


def test_what_are_no_filters_learns_at_a_share_of_the_filters_rate():
    """In any network, with normalisations that learn a scale and linear layers that start as
    usual.
    """
    model, chosen = architectures.create("vgg16_slim_bn"), recipe("muon", companion_share=0.3)
    muon, companion = make_optimisers(model, chosen)
    (filters,), (others,) = muon.param_groups, companion.param_groups
    assert {parameter.ndim for parameter in filters["params"]} == {4}
    assert {parameter.ndim for parameter in others["params"]} == {1, 2}
    assert len(filters["params"]) + len(others["params"]) == len(list(model.parameters()))
    assert filters["share"] == 1
    assert others["share"] == 0.3
    assert others["momentum"] == COMPANION_MOMENTUM


def test_the_first_layer_of_airbench_whitens_patches():
    """Its first twelve filters turn 2 x 2 patches into uncorrelated values of variance one; the
    other twelve are their negatives.
    """
    generator = torch.Generator().manual_seed(0)
    # neighbours are alike, as in pictures
    images = F.avg_pool2d(torch.randn(500, 3, 18, 18, generator=generator), 3, 1)
    model = architectures.create("airbench")
    model.fit_to(images)
    with torch.no_grad():
        answers = model.conv1(images).transpose(0, 1).flatten(1)
    assert torch.allclose(answers[:12], -answers[12:], atol=1e-5)
    products = answers[:12] @ answers[:12].T / answers.shape[1]
    assert (products - products.diagonal().diag()).abs().max() < 0.02
    assert products.diagonal().min() > 0.9
    assert products.diagonal().max() < 1.01


@pytest.fixture
def clock(monkeypatch):
    """A clock that each step moves on by what the number of threads takes; returns those seconds,
    to be changed.
    """
    taken, now, used = {1: 1.0, 4: 1.0}, [0.0], [4]
    monkeypatch.setattr(threads.time, "perf_counter", lambda: now[0])
    monkeypatch.setattr(threads.time, "monotonic", lambda: now[0])
    monkeypatch.setattr(torch, "get_num_threads", lambda: used[0])
    monkeypatch.setattr(torch, "set_num_threads", lambda number: used.__setitem__(0, number))

    def steps(chooser, count):
        found = []
        for _ in range(count):
            with chooser.step():
                found.append(used[0])
                now[0] += taken[used[0]]
        return found

    return taken, steps


def test_the_faster_number_of_threads_is_used(clock):
    taken, steps = clock
    taken |= {4: 0.1, 1: 0.3}
    chooser = threads.Threads(torch.device("cpu"), 128 * 32 * 32)
    assert steps(chooser, 6) == [4] * 3 + [1] * 3  # each is tried, then the faster one used
    assert steps(chooser, 50) == [4] * 50
    taken[4] = 9.0
    steps(chooser, 1)
    taken[4] = 0.1
    assert steps(chooser, 50) == [4] * 50  # one slow step, as after an evaluation, is no reason
    taken[4] = 3.0  # something else runs now, and for long
    assert steps(chooser, 500)[-300:].count(4) <= 6  # tried again, and less and less often
    taken[4] = 0.1  # and has ended
    assert steps(chooser, 300)[-50:] == [4] * 50


def test_all_threads_are_back_soon_after_a_short_disturbance(clock):
    taken, steps = clock
    taken |= {4: 0.1, 1: 0.3}
    chooser = threads.Threads(torch.device("cpu"), 128 * 32 * 32)
    steps(chooser, 20)
    for _ in range(3):  # the third time as soon as the first
        taken[4] = 3.0
        while 1 not in steps(chooser, 1):
            pass
        taken[4] = 0.1
        assert steps(chooser, 25)[-3:] == [4] * 3  # 4 seconds and three steps
        steps(chooser, 10)


def test_small_batches_take_one_thread_and_gpus_are_left_alone(clock):
    _, steps = clock
    small = threads.Threads(torch.device("cpu"), 32 * 8 * 8)
    with small.chosen():
        assert steps(small, 5) == [1] * 5
    assert torch.get_num_threads() == 4
    gpu = threads.Threads(torch.device("cuda"), 10)
    with gpu.chosen():
        assert steps(gpu, 5) == [4] * 5
