"""How much of a picture a network does not see, in words."""

LEAST = 0.01  # of a picture, or of some on average, that is said to be cut off


def is_said(share: float) -> bool:
    """Whether so much of a picture is cut off that it is said."""
    return share >= LEAST


def not_seen(share: float, what: str) -> str:
    """The words for a share in [0, 1) of `what` that is cut off; empty for next to nothing."""
    return f"the middle is cut out: {share:.0%} of {what} is not seen" if is_said(share) else ""
