"""Numbers of classes that a loss keeps before it knows how many classes there are."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

__all__ = ["ClassSized"]


class ClassSized(nn.Module):
    """Mixin of losses with a buffer that has one number a class.

    Heads build their loss without telling it the number of classes. So the buffer is
    empty until the numbers come, from the class statistics or from a checkpoint, whose
    buffer may have any length.
    """

    _sized: tuple[str, ...] = ()

    def register_sized(self, name: str) -> None:
        """Register an empty buffer that takes the length of what is loaded."""
        self.register_buffer(name, torch.empty(0))
        self._sized = (*self._sized, name)

    def _load_from_state_dict(
        self, state_dict: dict[str, Any], prefix: str, *args: Any
    ) -> None:
        for name in self._sized:
            if (loaded := state_dict.get(prefix + name)) is not None:
                current: Tensor = getattr(self, name)
                setattr(self, name, current.new_empty(loaded.shape))
        super()._load_from_state_dict(state_dict, prefix, *args)

    def set_sized(self, name: str, numbers: Tensor) -> None:
        """Fill a buffer, in place where it has the length already.

        Args:
            name: Of the buffer.
            numbers: One a class, float (C,).
        """
        current: Tensor = getattr(self, name)
        if current.shape == numbers.shape:
            current.copy_(numbers)
        else:
            setattr(self, name, numbers.detach().to(current, copy=True))

    def sized(self, name: str, like: Tensor, channels: int) -> Tensor:
        """Return a buffer for the logits of a call.

        Args:
            name: Of the buffer.
            like: Logits, for the device.
            channels: Classes of the head.

        Raises:
            ValueError: Their numbers of classes differ.
        """
        numbers: Tensor = getattr(self, name)
        if len(numbers) != channels:
            raise ValueError(
                f"{type(self).__name__}: `{name}` has {len(numbers)} numbers, but the "
                f"head has {channels} classes"
            )
        return numbers.to(like.device)
