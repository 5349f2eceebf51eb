"""Which runs say most beside one another."""

from vizlib import architectures


def nearness(run, other, difference=None):
    """(whether another run is on the same data, whether it is of a partner architecture): the
    greater, the more it says beside this one. difference: what partners differ in, None for any.
    """
    partners = architectures.partners_of(run.config.architecture)
    apart = partners.get(other.config.architecture)
    return (
        other.config.dataset == run.config.dataset,
        apart is not None and difference in (None, apart),
    )
