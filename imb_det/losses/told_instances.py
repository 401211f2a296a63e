"""Losses of masks that are told the classes of their instances by the head."""

from __future__ import annotations

from torch import Tensor

from imb_det.statistics.class_vector import ClassVector

from .caller import in_head

__all__ = ["ToldInstances"]


class ToldInstances:
    """Mixin of losses of masks in heads that pass masks without their classes.

    :class:`imb_det.Mask2FormerHead` and :class:`imb_det.MaskFormerHead` tell them
    before they call the loss.
    """

    class_weight: ClassVector
    _labels: Tensor | None = None
    _num_classes = 0

    def set_instances(self, labels: Tensor, num_classes: int) -> None:
        """Learn the classes of the instances of the next calls.

        Args:
            labels: Class of each, int (N,) in [0, C).
            num_classes: C.
        """
        self._labels, self._num_classes = labels, num_classes

    def told_labels(self) -> Tensor:
        """Return the classes of the instances.

        Raises:
            RuntimeError: Nobody has told them.
        """
        if self._labels is None:
            raise RuntimeError(
                f"{in_head(type(self).__name__)}: the head does not tell it the "
                "classes of its instances; use `type='imb_det.Mask2FormerHead'` or "
                "`'imb_det.MaskFormerHead'`"
            )
        return self._labels

    @property
    def weighs_classes(self) -> bool:
        """Whether ``class_weight`` is anything but None, in some stage at least."""
        weight = self.class_weight
        return weight.spec is not None or weight.by_class or bool(weight.stage_names)

    def instance_weights(
        self, labels: Tensor, num_classes: int, like: Tensor
    ) -> Tensor | None:
        """Return the weight of each instance, (N,), or None for 1.

        Args:
            labels: Class of each, int (N,) in [0, C).
            num_classes: C.
            like: A tensor of the device and the type that they are to have.
        """
        weights = self.class_weight(num_classes, like)
        if weights is None:
            return None
        weights = weights[labels] if weights.dim() else weights.expand(len(labels))
        return weights.to(like)
