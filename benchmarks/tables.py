"""The tables that the benchmarks print. Above each stands what it was measured on: a figure of one
processor is a figure of that processor.
"""

from vizlib.training.processor import this_processor


def begin(*columns, texts, processor=None, note=""):
    """Print what is measured on, and a table's head. texts: how many columns, the first ones, hold
    words; the others hold numbers. processor: in words, where it is not this machine's own.
    """
    print(f"\n{processor or this_processor()}{f'; {note}' if note else ''}.\n")
    print(f"| {' | '.join(columns)} |")
    print("|" + "---|" * texts + "---:|" * (len(columns) - texts), flush=True)


def add(*cells):
    """Print one row of the table that was begun."""
    print(f"| {' | '.join(map(str, cells))} |", flush=True)


def percentile_95(values):
    """The 95th percentile; of fewer than 20 values the largest."""
    return sorted(values)[min(len(values) - 1, int(0.95 * len(values)))]


def training_types(device="cpu"):
    """The types of number that a training on this device computes in, in words."""
    import torch

    from vizlib.training.precision import half_type

    half = half_type(torch.device(device), torch.nn.Identity(), (3, 32, 32))
    return f"trained in {str(half or torch.float32).removeprefix('torch.')}"
