"""What heads ask a classification loss for."""

from __future__ import annotations

from torch import Tensor, nn

from .links import Link

__all__ = ["ForHeads"]


class ForHeads(nn.Module):
    """Base of the losses: outputs, probabilities and accuracy, by their link."""

    # BBoxHead trains by one of these flags and predicts by another: all or none.
    custom_cls_channels = True
    custom_activation = True
    custom_accuracy = True

    #: Whether labels must be classes, as there is no loss for targets between 0 and 1.
    needs_classes = False

    link: Link
    roi_channels: int | None  # what an RoI head has asked for

    @property
    def takes_quality(self) -> bool:
        """Whether the score of a class may be told to become a quality in [0, 1]."""
        return self.link.takes_quality and not self.needs_classes

    def get_cls_channels(self, num_classes: int) -> int:
        """Return the channels of an RoI head: C and those that the link adds."""
        # Only RoI heads ask. They drop the last column of the activation.
        self.roi_channels = num_classes + self.link.extra_channels
        return self.roi_channels

    @property
    def in_roi_head(self) -> bool:
        """Whether an RoI head has asked for the number of its channels."""
        return self.roi_channels is not None

    def get_activation(self, cls_score: Tensor) -> Tensor:
        """Return the probabilities that the head predicts with.

        Args:
            cls_score: Logits, (N, channels).

        Returns:
            (N, C + 1) in RoI heads, with sigmoid a zero for background. (N, C) in
            dense heads, where every column is a class.
        """
        return self.link.scores(cls_score, with_background=self.in_roi_head)

    def get_accuracy(self, cls_score: Tensor, labels: Tensor) -> dict[str, Tensor]:
        """Return the share of rows whose best class is theirs, in per cent.

        With sigmoid, a row without a probability above 0.5 is taken for background.

        Args:
            cls_score: Logits, (N, channels).
            labels: Class of each row, int (N,), background C.

        Returns:
            ``acc``, float (1,); 0 without rows.
        """
        if len(labels) == 0:
            return {"acc": cls_score.new_zeros(1)}
        right = self.link.best(cls_score) == labels
        return {"acc": right.float().mean()[None] * 100}
