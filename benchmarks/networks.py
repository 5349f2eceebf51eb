"""How fast each network trains here: images a second, in each type of number.

    python -m benchmarks.networks                       # on the GPU if there is one, else the CPU
    python -m benchmarks.networks --compile             # by torch.compile too: minutes more each
    python -m benchmarks.networks --smallest            # one network: whether it measures

A second of steps of each network on pictures in memory, in the size that it is made for, with the
optimiser and the batch of its usual recipe: what a training takes but for making its batches and
looking at itself. Prints one Markdown table. Nothing else should run meanwhile.
"""

import argparse

from benchmarks import tables

SMALLEST = ("three_layer_module",)


def main(arguments=None):
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--device", help='"cpu", "cuda", ... (default: a GPU if there is one)')
    parser.add_argument("--compile", action="store_true", help="by torch.compile too")
    parser.add_argument("--smallest", action="store_true", help="one network only")
    options = parser.parse_args(arguments)

    import torch

    from vizlib import architectures
    from vizlib.training import devices

    device = options.device or devices.devices()[0]
    is_gpu = torch.device(device).type == "cuda"
    types = [torch.float32, torch.bfloat16, *([torch.float16] if is_gpu else [])]
    names = [str(each).removeprefix("torch.") for each in types]
    tables.begin(
        "network",
        "batch",
        *names,
        *(["compiled"] if options.compile else []),
        texts=1,
        processor=devices.words_for(torch.device(device)) if is_gpu else None,
        note="images a second in training",
    )
    for name in SMALLEST if options.smallest else architectures.names():
        _add(name, device, types, options.compile)


def _add(name, device, types, is_compiled):
    from vizlib import architectures
    from vizlib.training.recipes import RECIPES, recipe_for
    from vizlib.training.trial import Trial, measured

    size = tuple(architectures.get(name).input_size)
    trial = Trial(name, size, RECIPES[recipe_for(name)], device)
    speeds = [measured(trial, dtype) for dtype in types]
    if is_compiled:
        speeds.append(measured(trial, compiled=True))
    tables.add(f"`{name}`", trial.recipe.batch_size, *(f"{speed:,.0f}" for speed in speeds))


if __name__ == "__main__":
    main()
