"""What the losses of a head are averaged over, stated class by class."""

from __future__ import annotations

from collections.abc import Sequence

from mmdet.models.dense_heads import (
    AnchorHead,
    ATSSHead,
    ATSSVLFusionHead,
    AutoAssignHead,
    CenterNetUpdateHead,
    CondInstBboxHead,
    DDODHead,
    FCOSHead,
    GFLHead,
    LDHead,
    RPNHead,
    RTMDetHead,
    RTMDetInsHead,
    TOODHead,
    VFNetHead,
    YOLOFHead,
)
from mmdet.models.roi_heads.bbox_heads import BBoxHead

from imb_det.core.checks import check_choice

__all__ = ["ALL_RANKS", "AVERAGED_OVER", "OWN_RANK", "losses_averaged_over"]

#: Each rank divides by a number of its own batch.
OWN_RANK = "own_rank"
#: All ranks divide by one number, the mean of theirs (mmdet's ``reduce_mean``).
ALL_RANKS = "all_ranks"

#: What mmdet's heads average over, by the class that computes the losses.
AVERAGED_OVER: dict[type, str] = {
    AnchorHead: OWN_RANK,
    BBoxHead: OWN_RANK,
    RPNHead: OWN_RANK,
    ATSSHead: ALL_RANKS,
    ATSSVLFusionHead: ALL_RANKS,
    AutoAssignHead: ALL_RANKS,
    CenterNetUpdateHead: ALL_RANKS,
    CondInstBboxHead: ALL_RANKS,
    DDODHead: ALL_RANKS,
    FCOSHead: ALL_RANKS,
    GFLHead: ALL_RANKS,
    LDHead: ALL_RANKS,
    RTMDetHead: ALL_RANKS,
    RTMDetInsHead: ALL_RANKS,
    TOODHead: ALL_RANKS,
    VFNetHead: ALL_RANKS,
    YOLOFHead: ALL_RANKS,
}


def losses_averaged_over(
    kind: type, methods: Sequence[str], but: type
) -> tuple[str | None, str]:
    """Tell what the losses of a head are averaged over.

    The first class in the order of inheritance counts that says it, by an attribute
    ``losses_averaged_over`` or as one of :data:`AVERAGED_OVER`. A class before it with
    one of the methods has losses of its own, of which nothing is known.

    Args:
        kind: Class of the head.
        methods: Those that compute losses.
        but: Mixin whose own methods, and those of its subclasses, do not count.

    Returns:
        ``'own_rank'``, ``'all_ranks'``, or None where nothing says it; and the class
        that says it, or the method that is not known.

    Raises:
        ValueError: The attribute has another value.
    """
    for base in kind.__mro__:
        name = base.__qualname__
        if "losses_averaged_over" in vars(base):
            stated = vars(base)["losses_averaged_over"]
            check_choice(name, "losses_averaged_over", stated, (OWN_RANK, ALL_RANKS))
            return stated, name
        if base in AVERAGED_OVER:
            return AVERAGED_OVER[base], name
        own = [method for method in methods if method in vars(base)]
        if own and not issubclass(base, but):
            return None, f"{name}.{own[0]}"
    return None, kind.__qualname__
