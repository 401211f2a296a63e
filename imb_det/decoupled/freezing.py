"""Parts of a model that rest while others are trained."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _NormBase

from imb_det.losses import (
    ImbalanceLoss,
    InstanceWeightedLoss,
    OverlapLoss,
    PixelLoss,
)

from .stage_parts import StageParts, is_in

__all__ = ["Division"]

_LOSSES = (ImbalanceLoss, InstanceWeightedLoss, OverlapLoss, PixelLoss)


class Division:
    """A model in a stage: what is trained, and what rests in eval mode.

    Losses are neither; they count and weigh on as in any training. Nor are heads, whose
    outputs have another form in eval mode; their layers rest.

    Args:
        model: The detector.
        parts: What the stage trains.
        trainable: Names of the parameters that the model trains by itself; the others
            stay as it has them.
    """

    def __init__(
        self, model: nn.Module, parts: StageParts, trainable: set[str]
    ) -> None:
        self.model = model
        named = dict(model.named_parameters())
        self.trained = [n for n in named if n in trainable and parts.trains(n)]
        resting = [n for n in named if n in trainable and not parts.trains(n)]
        self.frozen = {name: named[name] for name in resting}
        self._all = {name: named[name] for name in sorted(trainable)}
        self._modules: dict[str, nn.Module] = {}
        if not parts.trains_all:
            self._modules = dict(self._resting_modules(parts))

    def _resting_modules(self, parts: StageParts) -> Iterable[tuple[str, nn.Module]]:
        losses = {
            id(part)
            for path, module in self.model.named_modules()
            if isinstance(module, _LOSSES) or path.split(".")[-1].startswith("loss")
            for part in module.modules()
        }
        at_work = {
            ".".join(name.split(".")[:depth])
            for name in self.trained
            for depth in range(name.count(".") + 1)
        }
        for path, module in self.model.named_modules():
            named = parts.train_only is not None and is_in(path, parts.train_only)
            rests = parts.train_only is not None or is_in(path, parts.freeze)
            kept = path in at_work or id(module) in losses or _has_loss(module)
            if rests and not named and not kept:
                yield path, module

    def begin(self) -> None:
        """Take gradients from what rests."""
        for parameter in self.frozen.values():
            parameter.requires_grad_(False)
            parameter.grad = None

    def rest(self) -> None:
        """Bring what rests into eval mode, after others have called ``train()``."""
        for module in self._modules.values():
            module.training = False

    def end(self) -> None:
        """Let all be trained again that the model trains by itself."""
        for parameter in self._all.values():
            parameter.requires_grad_(True)

    @property
    def tops(self) -> list[str]:
        """Paths of modules that rest as a whole, without those inside them."""
        with_numbers = [
            path
            for path, module in self._modules.items()
            if any(True for _ in module.parameters())
        ]
        return [p for p in with_numbers if p.rpartition(".")[0] not in with_numbers]

    def resting(self, model: nn.Module | None = None) -> dict[str, Tensor]:
        """Return parameters, and statistics of normalisation, that are to stay.

        Args:
            model: The detector, or a copy of it. Default None, the detector.
        """
        model = self.model if model is None else model
        found = {
            name: parameter.data
            for name, parameter in model.named_parameters()
            if name in self.frozen
        }
        modules = dict(model.named_modules())
        for path in self._modules:
            if isinstance(modules[path], _NormBase):
                for name, buffer in modules[path].named_buffers(recurse=False):
                    found[f"{path}.{name}"] = buffer
        return found

    def digests(self) -> dict[str, str]:
        """Return a digest of the bits of each tensor that is to stay, by name."""
        return {name: _digest(value) for name, value in self.resting().items()}

    def drop_state(
        self, optimizer: torch.optim.Optimizer, names: Iterable[str]
    ) -> None:
        """Forget what an optimizer has gathered for parameters, such as momentum."""
        named = dict(self.model.named_parameters())
        for name in names:
            optimizer.state.pop(named[name], None)


def _has_loss(module: nn.Module) -> bool:
    """Tell whether a module is a head, such as FCOS's, RepPoints' or a grid head."""
    names = "loss", "loss_by_feat", "loss_and_target"
    return any(callable(getattr(module, name, None)) for name in names)


def _digest(value: Tensor) -> str:
    data = value.detach().cpu().contiguous().reshape(-1).view(torch.uint8)
    return hashlib.blake2b(data.numpy().tobytes(), digest_size=8).hexdigest()
