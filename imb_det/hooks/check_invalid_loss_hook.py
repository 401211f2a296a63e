"""Stops a training whose loss is infinite or not a number."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from itertools import chain
from typing import Any

import mmdet.engine.hooks
import numpy as np
import torch
from mmengine.dist import all_gather_object, all_reduce, get_rank, get_world_size
from mmengine.runner import Runner

from imb_det.core.finding import Finding, Severity, raise_findings
from imb_det.core.text import and_more
from imb_det.registry import HOOKS

__all__ = ["CheckInvalidLossHook"]

_REMEDY = (
    "Lower the learning rate, warm up for longer, or set `clip_grad` in "
    "`optim_wrapper`; under AMP, try without. Look at the images and boxes of the "
    "batch. The last checkpoint was saved before. `ImbalanceHook(check_loss=False)` "
    "leaves this check out"
)


@HOOKS.register_module()
class CheckInvalidLossHook(mmdet.engine.hooks.CheckInvalidLossHook):
    """Stop a training in the iteration whose loss is infinite or not a number.

    mmdet's hook of this name looks every 50 iterations and says that "loss become
    infinite or NaN". This one looks every iteration, before a checkpoint is saved, and
    names the terms of the loss, epoch and iteration, learning rate and images; all
    ranks stop with what any of them has met. Gradients that are not finite, with which
    AMP skips a step, are none of its business.

    It costs no wait: mmengine reads the loss of every iteration for its log. Several
    ranks compare one number each.

    It runs before hooks of normal priority, so that none goes on with such weights.
    ``ImbalanceHook`` does this already, unless the config has this hook, or mmdet's.

    Args:
        interval: Iterations from one look to the next, >= 1. Default: 1.

    Raises:
        TypeError, ValueError: ``interval`` is no whole number >= 1.
        FindingsError: In a training, when a loss is not finite.

    Example:
        >>> custom_hooks = [dict(type="imb_det.CheckInvalidLossHook")]
    """

    priority = "HIGH"

    def __init__(self, interval: int = 1) -> None:
        if isinstance(interval, bool) or not isinstance(interval, int):
            raise TypeError(f"`interval` must be a whole number, got {interval!r}")
        if interval < 1:
            raise ValueError(f"`interval` must be >= 1, got {interval}")
        super().__init__(interval)

    @classmethod
    def unless_in(cls, hooks: Iterable[Any]) -> CheckInvalidLossHook | None:
        """Build one unless a config has a hook for it, of mmdet's class or this."""
        others = mmdet.engine.hooks.CheckInvalidLossHook
        return None if any(isinstance(h, others) for h in hooks) else cls()

    def after_train_iter(
        self,
        runner: Runner,
        batch_idx: int,
        data_batch: Any = None,
        outputs: Any = None,
    ) -> None:
        """Look at the loss, and stop all ranks where it is not finite on any."""
        if not self.every_n_train_iters(runner, self.interval):
            return
        terms = outputs if isinstance(outputs, Mapping) else {}
        is_bad = not _is_finite(terms)
        number = torch.tensor(float(is_bad))
        all_reduce(number, "max")
        if not number.item():
            return
        mine = list(_findings(runner, data_batch, terms)) if is_bad else []
        raise_findings(
            chain.from_iterable(all_gather_object(mine)), "The training stops"
        )


def _is_finite(terms: Mapping[str, Any]) -> bool:
    """Tell whether the loss is; one number is read where there is a total."""
    values = _numbers(terms["loss"]) if "loss" in terms else _losses(terms).values()
    return all(bool(value.isfinite().all()) for value in values)


def _losses(terms: Mapping[str, Any]) -> dict[str, torch.Tensor]:
    """Leave out what is only logged, as mmengine does when it sums the terms up."""
    return {
        name if index == 0 else f"{name}[{index}]": value
        for name, values in terms.items()
        if "loss" in str(name)
        for index, value in enumerate(_numbers(values))
    }


def _numbers(value: Any) -> Iterator[torch.Tensor]:
    """Yield the numbers of a term, which may be lists or dictionaries; nothing else."""
    if isinstance(value, Mapping):
        value = list(value.values())
    if isinstance(value, (list, tuple)):
        for part in value:
            yield from _numbers(part)
    elif isinstance(value, (torch.Tensor, np.ndarray, np.number, int, float)):
        yield torch.as_tensor(value)


def _findings(
    runner: Runner, batch: Any, terms: Mapping[str, Any]
) -> Iterator[Finding]:
    """Say where in the training this rank is, and with what."""
    numbers = {
        name: float(value.detach().float().mean())
        for name, value in _losses(terms).items()
    }
    parts = {name: number for name, number in numbers.items() if name != "loss"}
    place = f"epoch {runner.epoch + 1}, iteration {runner.iter + 1}"
    if get_world_size() > 1:
        place += f", rank {get_rank()}"
    evidence = [", ".join(f"{k} {v:g}" for k, v in (parts or numbers).items())]
    rates = dict.fromkeys(chain.from_iterable(_learning_rates(runner)))
    if rates:
        evidence.append(f"learning rate {', '.join(f'{rate:g}' for rate in rates)}")
    if names := [_name_of(sample) for sample in _samples(batch)]:
        evidence.append(f"images {and_more(names, 8, quoted=False)}")
    yield Finding(
        "invalid_loss",
        Severity.ERROR,
        "the loss is infinite or not a number",
        place,
        "; ".join(evidence),
        _REMEDY,
    )


def _learning_rates(runner: Runner) -> list[list[float]]:
    """Return those of all groups of parameters."""
    try:
        return list(runner.optim_wrapper.get_lr().values())
    except AttributeError:  # of an optimizer of another kind
        return []


def _samples(batch: Any) -> Iterator[Any]:
    """Yield the samples of a batch, of all its branches in semi-supervised training."""
    found = batch.get("data_samples") if isinstance(batch, Mapping) else None
    groups = found.values() if isinstance(found, Mapping) else [found]
    for group in groups:
        if isinstance(group, (list, tuple)):
            yield from (sample for sample in group if sample is not None)


def _name_of(sample: Any) -> str:
    path = getattr(sample, "img_path", None)
    return str(path or f"image {getattr(sample, 'img_id', '?')}")
