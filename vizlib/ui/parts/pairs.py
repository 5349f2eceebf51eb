"""Which runs say most beside one another."""

# the same depth with and without them
SHORTCUTS = {"resnet32": ("plain32",), "plain32": ("resnet32",)}
# one network written in three ways
_FORMS = ("three_layer_functional", "three_layer_module", "three_layer_sequential")
# one layout, with four scales in a block and with one
_SCALES = {"res2net18": ("resnet18_cifar",), "resnet18_cifar": ("res2net18",)}
PAIRS = (
    SHORTCUTS
    | _SCALES
    | {form: tuple(other for other in _FORMS if other != form) for form in _FORMS}
)


def nearness(run, other, pairs=PAIRS):
    """(whether another run is on the same data, whether it is of a partner architecture): the
    greater, the more it says beside this one.
    """
    return other.config.dataset == run.config.dataset, other.config.architecture in pairs.get(
        run.config.architecture, ()
    )
