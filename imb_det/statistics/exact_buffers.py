"""Counts and numbers of classes that no cast of a model touches."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from torch import Tensor, nn

if TYPE_CHECKING:
    from typing_extensions import Self

__all__ = ["ExactBuffers"]


class ExactBuffers(nn.Module):
    """Module whose buffers keep their type: ``half()`` casts a model, not its counts.

    In float16 a count ends at 65504, and in bfloat16 257 is 256. The buffers do follow
    a model to another device.

    Attributes:
        exact_buffers: Names of the buffers that keep their type; None for all.

    Example:
        >>> import torch
        >>> module = ExactBuffers()
        >>> module.register_buffer("count", torch.tensor(100_001.0))
        >>> module.half().count
        tensor(100001.)
    """

    exact_buffers: tuple[str, ...] | None = None

    def _apply(self, fn: Callable[[Tensor], Tensor], *args: Any, **kwargs: Any) -> Self:
        # What `to`, `half`, `cuda` and their like all come to.
        before = dict(self._buffers)
        super()._apply(fn, *args, **kwargs)  # type: ignore[no-untyped-call]
        names = before if self.exact_buffers is None else self.exact_buffers
        for name in names:
            old, new = before.get(name), self._buffers.get(name)
            if old is not None and new is not None and old.dtype != new.dtype:
                self._buffers[name] = old.to(new.device)
        return self
