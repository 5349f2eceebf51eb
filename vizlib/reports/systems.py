"""The networks of five published course and lab reports: what each reached there, and how it is
trained here. Imports no torch.

A run of one has its id in its configuration; all else that is said of it is read from that run's
folder.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from vizlib.errors import unknown
from vizlib.run import folders
from vizlib.run.folders import Run
from vizlib.run.verdict import judge_run


@dataclass(frozen=True)
class System:
    """One network as reported, and its training here.

    run: what its run is called. reported: an accuracy in [0, 1] on the split named, None where the
    report gives no number; words: what it says then; epochs: how many it took, None where no report
    has it. recipe, changes: ours, as `recipes.recipe` takes them. side: of the pictures that the
    network gets, where not its own. start: the id of the system whose weights it starts from.
    """

    id: str
    run: str
    architecture: str
    title: str
    recipe: str
    changes: dict[str, Any] = field(default_factory=dict)
    reported: float | None = None
    split: str = "test"
    epochs: int | None = None
    words: str = "–"
    dataset: str = "cifar10"
    side: int | None = None
    start: str | None = None

    @property
    def told(self) -> str:
        """What the report says that it reached, in a few words, such as "81.3% validation"; a dash
        where it says nothing.
        """
        return f"{self.reported:.1%} {self.split}" if self.reported else self.words


_KNEE: dict[str, Any] = dict(dataset="csv-imbalanced:knee", side=64, epochs=10)
# before anything was done against the collapse
_AS_REPORTED = dict(augment=False, augment_only_rare=False)
# by the report's rate even what is pretrained hardly leaves the collapse in so few steps
_LEARNS_ON = dict(learning_rate=0.02, batch_size=32, epochs=8)
_C = "report_c"
# behind the id of a system that is trained as its report says, beside ours
AS_REPORTED = "R"
_ALL = [
    System(
        "A1",
        "three_layer_functional",
        "three_layer_functional",
        "Three layers, bare tensors",
        "adamw",
        dict(epochs=1),
        0.472,
        "validation",
        1,
    ),
    System(
        "A2",
        "three_layer_module",
        "three_layer_module",
        "Three layers, a module",
        "adamw",
        dict(epochs=1),
        0.498,
        "validation",
        1,
    ),
    System(
        "A3",
        "three_layer_sequential",
        "three_layer_sequential",
        "Three layers, a sequence",
        "adamw",
        dict(epochs=1),
        0.539,
        "validation",
        1,
    ),
    System(
        "A1R",
        "three_layer_functional_reported",
        "three_layer_functional",
        "Bare tensors, as reported",
        "report_a1",
        epochs=1,
    ),
    System(
        "A2R",
        "three_layer_module_reported",
        "three_layer_module",
        "A module, as reported",
        "report_a2",
        epochs=1,
    ),
    System(
        "A3R",
        "three_layer_sequential_reported",
        "three_layer_sequential",
        "A sequence, as reported",
        "report_a3",
        epochs=1,
    ),
    System(
        "B1",
        "plain32",
        "plain32",
        "Thirty-two layers, plain",
        "one_cycle",
        dict(epochs=15),
        0.775,
        "validation",
        20,
    ),
    System(
        "B2",
        "resnet32",
        "resnet32",
        "Thirty-two layers, residual",
        "one_cycle",
        dict(epochs=15),
        0.813,
        "validation",
        20,
    ),
    System(
        "B3",
        "resnet32_bottleneck",
        "resnet32_bottleneck",
        "Shortcuts around bottlenecks",
        "one_cycle",
        dict(epochs=15),
        0.824,
        "validation",
        20,
    ),
    System(
        "P18",
        "resnet18_start",
        "resnet18",
        "A start for graded pictures",
        "muon",
        dict(epochs=6),
        side=32,
    ),
    System(
        "P50",
        "resnet50_start",
        "resnet50",
        "A start for graded pictures",
        "muon",
        dict(epochs=6),
        side=32,
    ),
    System(
        "C18",
        "knee_resnet18",
        "resnet18",
        "Graded pictures, from scratch",
        _C,
        _AS_REPORTED,
        words="collapses, retina",
        **_KNEE,
    ),
    System(
        "C50",
        "knee_resnet50",
        "resnet50",
        "Graded pictures, from scratch",
        _C,
        _AS_REPORTED,
        words="collapses, retina",
        **_KNEE,
    ),
    System(
        "C18P",
        "knee_resnet18_pretrained",
        "resnet18",
        "Graded pictures, pretrained",
        "one_cycle",
        _LEARNS_ON,
        words="escapes, retina",
        start="P18",
        **_KNEE,
    ),
    System(
        "C50P",
        "knee_resnet50_pretrained",
        "resnet50",
        "Graded pictures, pretrained",
        "one_cycle",
        _LEARNS_ON,
        words="82.0% test, retina",
        start="P50",
        **_KNEE,
    ),
    System(
        "C18F",
        "knee_resnet18_flips",
        "resnet18",
        "Only rare grades mirrored",
        _C,
        words="helps",
        **_KNEE,
    ),
    System(
        "C18W",
        "knee_resnet18_weights",
        "resnet18",
        "Rare grades weigh more",
        _C,
        _AS_REPORTED | dict(class_weights=True),
        **_KNEE,
    ),
    System(
        "C18B",
        "knee_resnet18_balanced",
        "resnet18",
        "All grades equally often",
        _C,
        _AS_REPORTED | dict(balanced=True),
        **_KNEE,
    ),
    System(
        "C18S",
        "knee_resnet18_stages",
        "resnet18",
        "A rate that falls in stages",
        _C,
        _AS_REPORTED | dict(learning_rate=0.01, schedule="steps", decay_every=2),
        words="helps",
        **_KNEE,
    ),
    System(
        "C18L",
        "knee_resnet18_longer",
        "resnet18",
        "Twice as many epochs",
        _C,
        _AS_REPORTED | dict(epochs=10),
        **_KNEE,
    ),
    System(
        "D1",
        "resnet18_late_pool",
        "resnet18_late_pool",
        "Seven-by-seven filters at 224 pixels",
        "growing",
        dict(epochs=10, batch_size=125),
        0.880,
        epochs=20,
    ),
    System(
        "E1",
        "vgg16_slim",
        "vgg16_slim",
        "Twelve convolutions, five pools",
        "muon",
        dict(epochs=6),
        0.85,
        epochs=250,
    ),
    System(
        "E1N",
        "vgg16_slim_bn",
        "vgg16_slim_bn",
        "Twelve convolutions, each normalised",
        "muon",
        dict(epochs=5),
    ),
    System(
        "E2",
        "resnet50_three_stage",
        "resnet50_three_stage",
        "Three stages of ResNet-50",
        "muon",
        dict(epochs=10),
        0.80,
        epochs=285,
    ),
    System(
        "F1",
        "lenet",
        "lenet",
        "LeNet, six and sixteen filters",
        "adamw",
        dict(epochs=10),
        0.56,
        epochs=10,
    ),
    System(
        "F1R",
        "lenet_reported",
        "lenet",
        "LeNet, as reported",
        "report_f",
        epochs=10,
    ),
    System(
        "F2",
        "resnet18_cifar",
        "resnet18_cifar",
        "ResNet-18 for small pictures",
        "one_cycle",
        dict(epochs=4),
        0.80,
        epochs=10,
    ),
    System(
        "F3",
        "res2net18",
        "res2net18",
        "Four scales within a block",
        "one_cycle",
        dict(epochs=6),
        epochs=10,
        words="a little above F2",
    ),
    System(
        "F4",
        "densenet4",
        "densenet4",
        "Four dense stages",
        "one_cycle",
        dict(epochs=10),
        0.78,
        epochs=10,
    ),
    System(
        "F5",
        "mobilenet",
        "mobilenet",
        "Depthwise and pointwise",
        "muon",
        dict(epochs=10, batch_size=125),
        epochs=10,
    ),
    System(
        "F5N",
        "mobilenet_two_norms",
        "mobilenet_two_norms",
        "Depthwise and pointwise, each normalised",
        "one_cycle",
        dict(epochs=10),
    ),
]
SYSTEMS = {system.id: system for system in _ALL}


def named(wanted: Iterable[str]) -> list[System]:
    """The systems of these ids, or whose ids begin so where none is called that ("B" is B1, B2 and
    B3), in order. UserError for one that there is not.
    """
    chosen = set()
    for name in wanted:
        fitting = {id for id in SYSTEMS if id.startswith(name.upper())}
        if not fitting:
            raise unknown("system", name, SYSTEMS)
        chosen |= {name.upper()} & fitting or fitting
    return [system for id, system in SYSTEMS.items() if id in chosen]


def system_of(run: Run) -> System | None:
    """The System that a run is a training of, or None; whatever its configuration holds there."""
    return next((system for id, system in SYSTEMS.items() if id == run.config.system), None)


def runs_of(system: System) -> list[Run]:
    """All runs of a system, shipped ones first."""
    return [run for run in folders.list_runs()[0] if run.config.system == system.id]


def finished_runs(system: System) -> list[Run]:
    """The finished runs of a system: the shipped one, which stands for it, before those trained
    here.
    """
    return [run for run in runs_of(system) if run.status == "finished"]


def table() -> str:
    """All systems as a Markdown table: what was reported, and what the run here has in its folder;
    for graded pictures, whose accuracy hides a collapse, the balanced accuracy and Cohen's
    quadratic kappa too.
    """
    lines = [
        (
            "| id | network | reported | there after | ours, test | balanced | kappa | "
            "ours, validation | epochs | best epoch | seconds | device | seed | run |"
        ),
        "|---|---|---|---:|---:|---:|---:|---:|---:|---:|---:|---|---:|---|",
    ]
    lines += ["| " + " | ".join(_cells(system)) + " |" for system in SYSTEMS.values()]
    return "\n".join(lines)


def _cells(system: System) -> list[str]:
    """Its row of the table."""
    runs = finished_runs(system)
    return [
        system.id,
        f"`{system.architecture}`",
        system.told,
        f"{system.epochs} epoch{'s' * (system.epochs > 1)}" if system.epochs else "–",
        *(_figures(runs[0]) if runs else ["*not yet run*"] + [""] * 9),
    ]


def _figures(run: Run) -> list[str]:
    finished = run.events_of("finished")[-1]
    best = run.events_of("checkpoint")[-1]
    last = run.events_of("epoch")[-1]
    return [
        f"**{finished['test_accuracy']:.1%}**",
        *_of_grades(run),
        f"{best['val_accuracy']:.1%}",
        f"{last['epoch']:.3g}",
        f"{best['epoch']:.3g}",
        f"{finished['seconds']:,.0f}",
        run.device,
        str(run.config.seed),
        f"`{run.run_id}`" + ", weights not shipped" * run.is_weightless,
    ]


def _of_grades(run: Run) -> list[str]:
    """Its balanced accuracy and kappa; nothing where the classes are no grades."""
    if not run.config.ordered:
        return ["", ""]
    verdict = judge_run(run)
    return [f"{verdict.balanced_accuracy:.1%}", f"{verdict.kappa:.2f}"]
