"""What figures say in a sentence: made-up courses whose answer is plain, and the runs that ship."""

import numpy as np
import pytest

from vizlib.run import findings
from vizlib.run.findings import better, handed_on, most_mistaken, overfitting


def course(*losses, accuracies=(0.61, 0.58)):
    """Evaluations of these (train_loss, val_loss), half an epoch each."""
    train_accuracy, val_accuracy = accuracies
    return [
        dict(
            epoch=number / 2,
            step=40 * number,
            train_loss=train,
            val_loss=val,
            train_accuracy=train_accuracy,
            val_accuracy=val_accuracy,
        )
        for number, (train, val) in enumerate(losses, 1)
    ]


OVERFITTED = course((2.0, 2.1), (1.4, 1.5), (0.9, 1.2), (0.5, 1.4), (0.2, 1.9))


def test_overfitting_is_dated_by_the_lowest_loss():
    said = overfitting(OVERFITTED)
    assert said.startswith("It overfits since epoch 1.5")
    assert "from 1.20 to 1.90" in said
    assert "from 0.90 to 0.20" in said


@pytest.mark.parametrize(
    "losses",
    [
        [(2.0, 2.1), (1.4, 1.5), (0.9, 1.2), (0.5, 1.1), (0.2, 1.0)],  # falls to the end
        [(2.0, 2.1), (0.9, 1.2), (0.5, 1.21), (0.3, 1.22), (0.2, 1.23)],  # within chance
        [(2.0, 2.1), (1.4, 1.5), (0.9, 1.2), (0.5, 1.4)],  # one evaluation may be chance
        [(2.0, 2.1), (0.9, 1.2), (0.9, 1.5), (0.95, 1.7), (0.9, 1.9)],  # it learns no more
        [(2.0, 2.1), (0.09, 0.067), (0.05, 0.075), (0.03, 0.08), (0.02, 0.086)],  # a few images
        [(2.0, 2.1), (0.9, 1.2), (0.5, 1.5), (0.3, 1.6), (0.2, 1.2)],  # it comes back in the end
    ],
)
def test_what_is_no_overfitting(losses):
    assert overfitting(course(*losses)).startswith("It does not overfit: ")


def test_as_long_as_it_trains_it_is_so_far():
    said = overfitting(course((2.0, 2.1), (1.4, 1.5), (0.9, 1.2)), is_over=False)
    assert said.startswith("It does not overfit so far: the loss on held-out images falls, ")


def test_too_few_evaluations_say_nothing():
    assert overfitting(OVERFITTED[:2]) == ""


def test_pictures_that_were_still_small_do_not_count():
    """On whole pictures a network that has seen small ones is bad at first."""
    small = course((2.0, 1.0), (1.4, 3.5), (0.9, 4.2), (0.5, 1.4), (0.4, 1.2), (0.3, 1.1))
    assert "overfits since" in overfitting(small)
    assert overfitting(small, whole_from=120).startswith("It does not overfit")


@pytest.mark.parametrize(
    ("accuracies", "images", "said"),
    [
        ((0.99, 0.78), 300, "It learned by heart"),
        ((0.90, 0.78), 300, "It learned partly by heart"),
        ((0.81, 0.78), 300, "It does not overfit"),
        ((0.90, 0.78), 20, "It does not overfit"),  # 0.09 is one standard error
        ((0.78, 0.90), 300, "It does not overfit"),  # augmented pictures are the harder ones
    ],
)
def test_learning_by_heart(accuracies, images, said):
    events = course((2.0, 2.1), (1.4, 1.5), (0.9, 1.2), accuracies=accuracies)
    assert overfitting(events, images=images).startswith(said)


def test_the_class_mistaken_most_is_that_of_the_least_recall():
    confusion = np.array([[50, 10, 40], [0, 1, 3], [200, 0, 800]])  # most images, fewest right
    assert most_mistaken(confusion, ["a", "b", "c"]) == (
        "**b** is mistaken most: 25% of its 4 images are recognised, 3 are taken for **c**."
    )


def test_images_without_an_answer_are_not_recognised():
    confusion, unanswered = np.array([[6, 2], [1, 9]]), np.array([0, 90])
    assert most_mistaken(confusion, ["a", "b"], unanswered) == (
        "**b** is mistaken most: 9% of its 100 images are recognised, 1 is taken for **a**."
    )


def test_nothing_wrong_and_nothing_there():
    assert most_mistaken(np.diag([3, 0, 2]), list("abc")) == "No answer is wrong."
    assert most_mistaken(np.zeros((2, 2), int), list("ab")) == ""
    # a class without images is not the one mistaken most
    assert "**c**" in most_mistaken(np.array([[9, 0, 1], [0, 0, 0], [3, 0, 2]]), list("abc"))


@pytest.mark.parametrize(
    ("only_first", "only_second", "said"),
    [
        (30, 80, "**second** is better, and that is more than chance"),
        (80, 30, "**first** is better, and that is more than chance"),
        (30, 40, "**second** is ahead, but no more than chance may do"),
        (7, 7, "Both get as many images right."),
        (0, 0, "Both get as many images right."),
    ],
)
def test_which_is_better(only_first, only_second, said):
    """By scipy's exact binomial test: 30 of 110 has a probability of 2e-6, 30 of 70 one of 0.28."""
    assert better(["first", "second"], only_first, only_second).startswith(said)


def test_the_limit_of_chance_is_one_in_a_hundred():
    """14 of 42 has a probability of 0.044, 12 of 42 one of 0.008 (scipy.stats.binomtest)."""
    from scipy.stats import binomtest

    assert binomtest(14, 42).pvalue > findings.UNLIKELY > binomtest(12, 42).pvalue
    assert "no more than chance" in better(["a", "b"], 14, 28)
    assert "more than chance: " in better(["a", "b"], 12, 30)


@pytest.mark.parametrize(
    ("sizes", "said"),
    [
        (np.logspace(-4, 0, 12), "It vanishes on its way: the first third of the layers gets 1/"),
        (np.logspace(0, -4, 12), "It explodes on its way: "),
        (np.r_[np.full(4, 0.3), np.full(4, 90.0), np.full(4, 0.1)], "gets 3 times"),
        (np.r_[np.full(4, 0.3), np.full(4, 90.0), np.full(4, 0.31)], "gets as much as the last"),
        (np.r_[np.full(4, np.nan), np.ones(8)], "It vanishes: no gradient arrives"),
        (np.ones(3), "With 3 layers"),
    ],
)
def test_how_a_gradient_is_handed_on(sizes, said):
    assert said in handed_on(sizes)


def test_how_much_it_vanishes():
    """Three quarters of four decades lie between the middles of the thirds: 10^(4 x 8/11)."""
    assert f"1/{10 ** (4 * 8 / 11):,.0f} of" in handed_on(np.logspace(-4, 0, 12))


def test_where_classes_differ_much_the_mean_over_them_decides():
    """A model that answers the common class alone gets more images right."""
    said = better(["mended", "collapsed"], 26, 29, (0.72, 0.1))
    assert said.startswith("**mended** is better: in the mean over the classes it gets 72% of")
    assert better(["a", "b"], 30, 80, (0.71, 0.75)).startswith("**b** is better, and that is more")
