"""What is ordered is checked where it is built, before any data are read."""

import dataclasses

import pytest

from vizlib.errors import UserError
from vizlib.training.order import Order
from vizlib.training.recipes import Recipe, recipe


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"architecture": "nonesuch"}, "^There is no architecture named 'nonesuch'"),
        ({"side": 0}, "^Pictures of 0 x 0 are not possible: between 1 and 1024 pixels[.]$"),
        ({"side": 1025}, "^Pictures of 1025 x 1025 are not possible"),
        ({"seed": -1}, "^seed -1 is not possible: between 0 and 4,294,967,295[.]$"),
        ({"seed": 2**32}, "^seed 4294967296 is not possible"),
        ({"recipe": Recipe("mine", "", epochs=0)}, "^epochs 0 is not possible"),
    ],
)
def test_an_impossible_order_is_one_sentence(changes, sentence):
    with pytest.raises(UserError, match=sentence):
        Order(**{"architecture": "lenet", "dataset": "nonesuch", "recipe": recipe("sgd")} | changes)


def test_the_last_possible_values():
    order = Order("lenet", "digits", recipe("sgd"), seed=2**32 - 1, side=1024)
    assert (order.seed, order.side) == (2**32 - 1, 1024)
    assert dataclasses.replace(order, side=1).side == 1


def test_an_order_does_not_change():
    with pytest.raises(dataclasses.FrozenInstanceError):
        Order("lenet", "digits", recipe("sgd")).seed = 3
