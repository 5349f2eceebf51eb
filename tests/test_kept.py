"""What all sessions share has one budget of bytes, and each part of it is computed once."""

import sys
import threading
import types
from dataclasses import dataclass
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from vizlib.ui.data import jobs, kept

BUDGET = 10_000_000


@pytest.fixture
def store(monkeypatch):
    """A budget of ten megabytes, a clock to be set, and how often each number was computed."""
    monkeypatch.setattr(kept, "BYTES", BUDGET)
    clock = SimpleNamespace(now=1000.0)
    monkeypatch.setattr(kept, "_all", kept._Store(BUDGET, lambda: clock.now))
    monkeypatch.setattr(kept.time, "perf_counter", lambda: clock.now)
    return clock


def counted(clock=None, **options):
    """zeros(megabytes, name, seconds): an array, by the clock so long in the making."""
    asked = []

    @kept.kept(**options)
    def zeros(megabytes, name="", seconds=0):
        asked.append((megabytes, name))
        if clock is not None:
            clock.now += seconds
        return np.zeros(int(megabytes * 1e6), np.uint8)

    return zeros, asked


def test_what_is_long_in_the_making_for_its_bytes_stays(store):
    """Four megabytes of twelve seconds, three of three: two of ten take the place of the three,
    though nobody has asked for the four longer.
    """
    zeros, _ = counted(store)
    zeros(4, "a", 12)
    zeros(3, "b", 3)
    zeros(5, "c", 10)
    assert [kept.has(zeros, *each) for each in ((4, "a", 12), (3, "b", 3))] == [True, False]


def test_what_is_not_asked_for_is_overtaken(store):
    """One megabyte of nine seconds, and then again and again four of four, always others: it is as
    though each that is given up took a second a megabyte from it.
    """
    zeros, _ = counted(store)
    zeros(1, "a", 9)
    stays = []
    for number in range(24):
        zeros(4, number, 4)
        stays.append(kept.has(zeros, 1, "a", 9))
    # ten megabytes hold two of them beside it, so with the third the first one goes
    assert stays.count(True) in range(8 * 2, 9 * 2 + 3)
    assert sorted(stays, reverse=True) == stays
    zeros(1, "a", 9)
    for number in range(100, 124):
        zeros(4, number, 4)
        zeros(1, "a", 9)
        assert kept.has(zeros, 1, "a", 9)


def test_of_equals_what_nobody_asked_for_longest_goes_first(store):
    zeros, asked = counted(store)
    for name in "abc":
        zeros(3, name, 3)
    assert 9e6 < kept._all.currsize < 9.1e6
    zeros(3, "d", 3)  # in the place of a, of which no more is known than of the others
    zeros(3, "b", 3)
    zeros(3, "e", 3)  # in the place of c
    assert kept._all.currsize < BUDGET
    assert [name for name in "abcde" if kept.has(zeros, 3, name, 3)] == ["b", "d", "e"]
    assert [name for _, name in asked] == [*"abcde"]


def test_one_that_is_larger_than_all_of_it_stays_until_another_comes(store):
    zeros, asked = counted()
    zeros(2)
    zeros(25)
    zeros(25)
    assert asked == [(2, ""), (25, "")]
    assert kept._all.currsize == BUDGET
    zeros(1)
    assert not kept.has(zeros, 25)
    assert kept._all.currsize < 1.1e6


def test_all_functions_have_one_budget_and_their_own_results(store):
    zeros, _ = counted()

    @kept.kept()
    def ones(megabytes):
        return np.ones(int(megabytes * 1e6), np.uint8)

    assert zeros(6).max() == 0
    assert ones(6).max() == 1
    assert not kept.has(zeros, 6)


def test_some_things_are_computed_anew_after_a_time(store):
    zeros, asked = counted(seconds=60)
    for later in (0, 59, 2, 58):
        store.now += later
        zeros(1)
    assert len(asked) == 2


def test_arguments_are_told_apart_as_it_is_said(store):
    zeros, asked = counted(told=lambda argument: str(argument)[:1])
    zeros(1, "first")
    zeros(1, "fourth")
    zeros(1, name="fifth")
    assert [name for _, name in asked] == ["first", "fifth"]


def test_an_error_is_no_result(store):
    asked = []

    @kept.kept()
    def fails(number):
        asked.append(number)
        raise ValueError(number)

    for _ in range(2):
        with pytest.raises(ValueError, match="7"):
            fails(7)
    assert asked == [7, 7]


def test_those_who_ask_meanwhile_wait_for_the_same(store):
    begun, go_on, asked, found = threading.Event(), threading.Event(), [], []

    @kept.kept()
    def slow(number):
        asked.append(number)
        begun.set()
        go_on.wait(30)
        return np.zeros(number)

    @kept.kept()
    def other(number):
        return number

    threads = [threading.Thread(target=lambda: found.append(slow(9))) for _ in range(8)]
    for thread in threads:
        thread.start()
    begun.wait(30)
    assert other(3) == 3  # which does not wait
    go_on.set()
    for thread in threads:
        thread.join(30)
    assert asked == [9]
    assert len({id(one) for one in found}) == 1


@dataclass
class Holder:
    first: object
    second: object = None


ARRAY = np.zeros((500, 1000), np.float32)  # 2 MB


@pytest.mark.parametrize(
    ("value", "bytes_"),
    [
        (ARRAY, 2e6),
        (ARRAY[:3, ::7], 2e6),  # a part keeps the whole
        ([ARRAY, ARRAY[5:]], 2e6),
        ((ARRAY, ARRAY.copy()), 4e6),
        ({"a": Holder(ARRAY, b"x" * 300_000)}, 2.3e6),
        (torch.zeros(400_000)[3:9], 1.6e6),
        (torch.nn.Sequential(torch.nn.Linear(1000, 500), torch.nn.ReLU()), 2e6),
        (torch.zeros(400_000, device="meta"), 0),
        ("y" * 70_000, 7e4),
        (np.zeros, 0),
    ],
    ids=str,
)
def test_weight(value, bytes_):
    assert kept.weight(value) - kept.LEAST == pytest.approx(bytes_, rel=0.01, abs=100)


def test_what_lies_in_a_mapped_file_weighs_nothing(tmp_path):
    np.save(tmp_path / "array.npy", ARRAY)
    mapped = np.load(tmp_path / "array.npy", mmap_mode="r")
    assert kept.weight(Holder(mapped[3:7])) < 3_000


def test_what_goes_round_in_circles_is_weighed_once():
    holder = Holder(ARRAY)
    holder.second = [holder, {"again": holder}]
    assert kept.weight(holder) == pytest.approx(2e6, rel=0.01)


def test_objects_have_a_weight():
    """Against what they are made of, one by one: a list, and its numbers."""
    numbers = [number / 3 for number in range(10_000)]
    alone = sys.getsizeof(numbers) + 10_000 * sys.getsizeof(0.5)
    assert kept.weight(Holder(numbers)) == pytest.approx(alone, rel=0.02)


def test_results_of_long_computations_are_bounded_by_bytes(monkeypatch):
    """The newest stays, however large."""
    monkeypatch.setattr(jobs, "_jobs", jobs.OrderedDict())
    monkeypatch.setattr(jobs, "MOST_BYTES", 5_000_000)
    for number, megabytes in enumerate((2, 2, 2, 9)):
        job = jobs._joined(
            number, lambda say, size=megabytes: np.zeros(size * 125_000), object(), False
        )
        job.thread.join(30)
        jobs._joined(number, lambda say: None, object(), False)
        assert list(jobs._jobs) == [[0], [0, 1], [1, 2], [3]][number]


def test_a_result_has_a_weight_while_torch_is_being_imported(monkeypatch):
    """On a server just started one page imports it while another looks something up."""
    half_imported = types.ModuleType("torch")
    monkeypatch.setitem(sys.modules, "torch", half_imported)
    weighed = kept.weight({"texts": ["a" * 70_000]})
    assert weighed == pytest.approx(70_000 + kept.LEAST, rel=0.01)
