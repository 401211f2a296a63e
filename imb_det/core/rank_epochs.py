"""Ranks whose epochs are not equally long."""

from __future__ import annotations

import torch
from mmengine.dist import all_gather_object, all_reduce, get_world_size

from .finding import Finding, Severity, raise_findings

__all__ = ["RankEpochs"]


class RankEpochs:
    """Notices a rank whose epoch is over while others still have batches.

    Without it, these wait for the gradients of that rank until the time limit of the
    process group, half an hour. Every rank says before each batch that it has one, and
    after its last that it has none: one small collective each time.

    Example:
        >>> epochs = RankEpochs()
        >>> epochs.batch_comes()
        >>> epochs.batches
        1
    """

    def __init__(self) -> None:
        self.batches = 0

    def batch_comes(self) -> None:
        """Say that this rank has a batch.

        Raises:
            FindingsError: Another rank has none, on all ranks.
        """
        self._compare(True)
        self.batches += 1

    def epoch_is_over(self) -> None:
        """Say that this rank has no batch any more.

        Raises:
            FindingsError: Another rank has one, on all ranks.
        """
        self._compare(False)
        self.batches = 0

    def _compare(self, goes_on: bool) -> None:
        if get_world_size() == 1:
            return
        number = torch.tensor(float(goes_on))
        all_reduce(number, "sum")
        if number.item() in (0, get_world_size()):
            return
        ends = all_gather_object(None if goes_on else self.batches)
        more = " and ".join(str(r) for r, end in enumerate(ends) if end is None)
        found = [
            Finding(
                "uneven_epochs",
                Severity.ERROR,
                "a rank comes to the end of its epoch while others have more batches",
                f"rank {rank}",
                f"{end} batches, and rank {more} has more",
                "Give all ranks the same data, and a sampler that makes them equally "
                "long (`round_up=True`)",
            )
            for rank, end in enumerate(ends)
            if end is not None
        ]
        raise_findings(found, "The training stops")
