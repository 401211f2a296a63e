"""The ends of some numbers, as text."""

from torch import Tensor

__all__ = ["span"]


def span(numbers: Tensor) -> str:
    """Write the least and the largest number."""
    low, high = numbers.detach().min().item(), numbers.detach().max().item()
    return f"{low:.3g} to {high:.3g}"
