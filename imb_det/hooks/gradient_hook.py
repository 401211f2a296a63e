"""How large the gradients of classification and box losses are, while training."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import torch
from mmengine.dist import all_reduce
from mmengine.hooks import Hook
from mmengine.runner import Runner
from torch import Tensor, nn
from torch.utils.hooks import RemovableHandle

from imb_det.core.check_context import CheckContext
from imb_det.core.finding import Finding, Severity
from imb_det.registry import HOOKS
from imb_det.runner_parts import bare_model

__all__ = ["GradientHook"]

_SIZES = ("fg", "bg", "box")


@HOOKS.register_module()
class GradientHook(Hook):
    r"""Log the size of the gradients of every head's losses, in every iteration.

    With z the logits and t the box predictions that a head hands to its losses,

    .. math:: g_{fg} = \sum_{i \in fg} \sum_c \left|\frac{\partial L}{\partial z_{ic}}
              \right|, \quad g_{bg} = \sum_{i \in bg} \sum_c \left|\frac{\partial L}
              {\partial z_{ic}}\right|, \quad g_{box} = \sum_i \sum_k
              \left|\frac{\partial L}{\partial t_{ik}}\right|

    over the foreground candidates, the background ones, and all boxes: how much each
    of them has to say. They are logged as ``<head>/grad_norm_fg``, ``_bg``, ``_box``,
    and ``<head>/grad_norm_ratio``, which is (g_fg + g_bg) / g_box. This ratio depends
    on the unit of t, deltas in most heads and pixels in FCOS and ATSS: compare methods
    in one head, not heads. Ranks are averaged, as DDP does with gradients, and a scale
    of the loss (AMP) is taken out. Where gradients are accumulated over n iterations,
    each has its n-th part to say.

    ``LoggerHook`` writes them, as means over ``window_size`` iterations, to the log,
    ``scalars.json`` and TensorBoard; ``python tools/plot_gradients.py`` draws them.

    It works with every head that calls ``loss_cls`` and ``loss_bbox`` with predictions
    and integer labels; one that never calls ``loss_cls`` is left out. An iteration with
    gradients that are not finite, as AMP skips some, is left out too.

    Raises:
        ValueError: When training starts, if the model has no such head.

    Source: the quantity behind Chen et al., "Is Heuristic Sampling Necessary in
    Training Deep Object Detectors?", IEEE TIP 2021; at the logits, where it costs next
    to nothing.
    """

    def __init__(self) -> None:
        self._handles: list[RemovableHandle] = []
        self._sums: dict[str, dict[str, list[Tensor]]] = {}
        self._classifying: set[str] = set()  # heads that have called `loss_cls`
        self._loss_scale = 1.0

    def findings(self, context: CheckContext) -> Iterator[Finding]:
        """Yield that there is nothing to listen to; ``ImbalanceHook`` asks."""
        if context.train_loop is None or context.model is None:
            return
        losses = (getattr(m, "loss_cls", None) for m in context.model.modules())
        if not any(isinstance(loss, nn.Module) for loss in losses):
            yield Finding(
                "no_classifier",
                Severity.ERROR,
                "no part of the model has a module `loss_cls`",
                "GradientHook",
                f"the model is {type(context.model).__name__}",
                "Remove GradientHook",
            )

    def before_train(self, runner: Runner) -> None:
        """Listen to the losses of all heads."""
        self._sums.clear()
        for name, head in bare_model(runner).named_modules():
            loss_cls, loss_bbox = (
                getattr(head, loss, None) for loss in ("loss_cls", "loss_bbox")
            )
            if not isinstance(loss_cls, nn.Module):
                continue
            self._sums[name] = {size: [] for size in _SIZES}
            self._listen(loss_cls, name, int(head.num_classes))
            if isinstance(loss_bbox, nn.Module):
                self._listen(loss_bbox, name, None)
        if not self._sums:
            raise ValueError(
                "GradientHook: no part of the model has a module `loss_cls`; the model "
                f"is {type(bare_model(runner)).__name__}"
            )

    def before_train_iter(
        self, runner: Runner, batch_idx: int, data_batch: Any = None
    ) -> None:
        """Take the scale of the loss, which the step of the optimizer may change."""
        scaler = getattr(runner.optim_wrapper, "loss_scaler", None)
        self._loss_scale = 1.0 if scaler is None else float(scaler.get_scale())

    def after_train_iter(
        self,
        runner: Runner,
        batch_idx: int,
        data_batch: Any = None,
        outputs: Any = None,
    ) -> None:
        """Hand the sizes of this iteration over to the log."""
        values = [
            torch.stack(parts).sum() if parts else torch.zeros(())
            for sums in self._sums.values()
            for parts in sums.values()
        ]
        device = next(bare_model(runner).parameters()).device
        sizes = torch.stack([value.float().to(device) for value in values])
        all_reduce(sizes, op="mean")
        sizes = sizes / self._loss_scale
        rows = sizes.view(len(self._sums), len(_SIZES)).tolist()
        for (name, sums), (fg, bg, box) in zip(self._sums.items(), rows, strict=True):
            for parts in sums.values():
                parts.clear()
            if name not in self._classifying or not math.isfinite(fg + bg + box):
                continue
            scalars = dict(fg=fg, bg=bg, box=box)
            if box > 0:
                scalars["ratio"] = (fg + bg) / box
            for size, value in scalars.items():
                runner.message_hub.update_scalar(
                    f"train/{name}/grad_norm_{size}", value
                )

    def after_train(self, runner: Runner) -> None:
        """Leave the losses alone."""
        for handle in self._handles:
            handle.remove()
        self._handles.clear()

    def _listen(self, loss: nn.Module, name: str, num_classes: int | None) -> None:
        def before_loss(_: nn.Module, args: tuple, kwargs: dict) -> None:
            pred: Any = args[0] if args else kwargs.get("pred", kwargs.get("cls_score"))
            if not isinstance(pred, Tensor) or not pred.requires_grad:
                return  # a forward pass that only compares losses, such as OHEM's
            sums = self._sums[name]
            listen: Any = pred.register_hook
            if num_classes is None:
                listen(lambda grad: sums["box"].append(_size(grad)))
                return
            self._classifying.add(name)
            label: Any = args[1] if len(args) > 1 else kwargs.get("label")
            if isinstance(label, (tuple, list)):  # with qualities, as in GFL
                label = label[0]
            # Of many rows few are foreground: what is left of the whole costs nothing.
            foreground = _foreground(label, num_classes).nonzero().squeeze(1)

            def note(grad: Tensor) -> None:
                of_foreground = _size(grad[foreground])
                sums["fg"].append(of_foreground)
                sums["bg"].append((_size(grad) - of_foreground).clamp(min=0))

            listen(note)

        handle = loss.register_forward_pre_hook(before_loss, with_kwargs=True)
        self._handles.append(handle)


def _size(grad: Tensor) -> Tensor:
    """Sum the absolute values, a scalar."""
    precise = torch.promote_types(grad.dtype, torch.float32)
    return torch.linalg.vector_norm(grad.detach(), ord=1, dtype=precise)


def _foreground(label: Tensor, num_classes: int) -> Tensor:
    """Tell which rows are foreground, bool (n,)."""
    if label.dim() == 1:
        return (label >= 0) & (label < num_classes)
    return label[:, :num_classes].sum(1) > 0  # one-hot or soft
