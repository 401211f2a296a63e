"""The calibrators of a detector, one after the other."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping, Sequence
from typing import Any
from zlib import crc32

import torch
from mmdet.structures import SampleList
from mmengine.logging import print_log
from torch import Tensor, nn
from torch.utils.hooks import RemovableHandle

from imb_det.registry import MODELS
from imb_det.statistics.class_vector import ClassVector

from .classifier_outputs import ClassifierOutput, class_numbers, classifier_outputs
from .expert_weights import ExpertWeights
from .logit_calibrator import LogitCalibrator
from .score_calibrators import ClassScoreThreshold, ScoreCalibrator

__all__ = ["Calibration"]


class Calibration(nn.Module):
    """Calibrators of a detector.

    Those of logits work on the outputs of the classifiers, those of scores on the
    finished detections; both in prediction alone, in the order in which they stand.
    Weights of experts are in effect between them, wherever they stand.

    Args:
        calibrators: Configs, or modules.

    Raises:
        TypeError: None of either kind.
        ValueError: One of logits behind one of scores, which cannot come before it.
    """

    kinds: Tensor

    def __init__(self, calibrators: Sequence[Mapping[str, Any] | nn.Module]) -> None:
        super().__init__()
        if isinstance(calibrators, (Mapping, nn.Module)):
            calibrators = [calibrators]
        if not isinstance(calibrators, Sequence):
            raise TypeError(f"`calibrators` must be a list, got {calibrators!r}")
        self.logits, self.scores = nn.ModuleList(), nn.ModuleList()
        self.experts = nn.ModuleList()
        self._handles: list[RemovableHandle] = []
        for given in calibrators:
            made = MODELS.build(given) if isinstance(given, Mapping) else given
            if isinstance(made, (LogitCalibrator, ExpertWeights)):
                if len(self.scores):
                    raise ValueError(
                        f"`calibrators`: {type(made).__name__} changes logits, which "
                        "come before scores: it must stand before "
                        f"{type(self.scores[0]).__name__}"
                    )
                self._add_of_logits(made)
            elif isinstance(made, ScoreCalibrator):
                self.scores.append(made)
            else:
                raise TypeError(
                    "`calibrators` must be calibrators such as "
                    f"`dict(type='imb_det.NorCal')`, got {type(made).__name__}"
                )
        # A config without calibrators then does not load this without a word.
        names = [type(made).__name__ for made in self._all()]
        kinds = torch.tensor([crc32(name.encode()) for name in names], dtype=torch.long)
        self.register_buffer("kinds", kinds)

    def _all(self) -> list[nn.Module]:
        return [*self.logits, *self.scores, *self.experts]

    def _add_of_logits(self, made: nn.Module) -> None:
        if isinstance(made, LogitCalibrator):
            self.logits.append(made)
        elif len(self.experts):
            raise ValueError("`calibrators`: experts have one ExpertWeights, not two")
        else:
            self.experts.append(made)

    def attach(self, model: nn.Module) -> None:
        """Let a detector predict with it, and hold it as ``calibration``.

        Args:
            model: Detector of mmdet, which has none yet.

        Raises:
            TypeError: Its classifiers are not known, and it has calibrators of logits;
                or nothing in it knows a number of classes.
            ValueError: It has one.
        """
        if hasattr(model, "calibration"):
            raise ValueError(f"{type(model).__name__} has calibrators already")
        outputs = classifier_outputs(model) if self.logits else []
        classes = class_numbers(model)
        if self.scores and not classes:
            raise TypeError(f"no head of {type(model).__name__} tells its classes")
        if self.scores:
            _tell_of_idle_thresholds(model, self.scores, classes[-1])
        for experts in self.experts:
            experts.attach(model)  # type: ignore[operator]
        self.train(model.training)
        model.add_module("calibration", self)
        if self.logits:
            self._handles = [
                output.layer.register_forward_hook(_LogitHook(self, output))
                for output in outputs
            ]
        if self.scores:
            hook = _ScoreHook(self, classes[-1])
            self._handles.append(model.register_forward_hook(hook, with_kwargs=True))

    def detach(self, model: nn.Module) -> None:
        """Let a detector predict without it again.

        Args:
            model: That it was attached to.
        """
        for handle in self._handles:
            handle.remove()
        self._handles.clear()
        for experts in self.experts:
            experts.detach()  # type: ignore[operator]
        del model.calibration

    def _load_from_state_dict(
        self, state_dict: dict[str, Any], prefix: str, *args: Any
    ) -> None:
        key = prefix + "kinds"
        given = state_dict.get(key, self.kinds[:0])
        if not torch.equal(given.to(self.kinds), self.kinds):
            which = "other" if len(given) == len(self.kinds) else len(given) or "no"
            own = [type(made).__name__ for made in self._all()]
            print_log(
                f"The checkpoint is of a detector with {which} calibrators; those that "
                f"the config has are applied, {own}",
                "current",
                logging.WARNING,
            )
        state_dict = {**state_dict, key: self.kinds}
        super()._load_from_state_dict(state_dict, prefix, *args)

    def of_logits(self, logits: Tensor, exclusive: bool) -> Tensor:
        """Return calibrated logits of the classes.

        Args:
            logits: (..., C).
            exclusive: Whether the classes exclude one another.
        """
        for calibrator in self.logits:
            logits = calibrator(logits, exclusive)
        return logits

    def of_samples(self, samples: SampleList, num_classes: int) -> SampleList:
        """Calibrate the detections of images, in place; the best come first.

        Args:
            samples: With ``pred_instances``.
            num_classes: C.
        """
        for sample in samples:
            if "pred_instances" not in sample:
                raise TypeError(
                    f"{type(self.scores[0]).__name__} changes the scores of "
                    "`pred_instances`, which the detector does not return, only "
                    f"{sorted(n for n in sample.all_keys() if n.startswith('pred'))}"
                )
            found = sample.pred_instances
            for calibrator in self.scores:
                scores, keep = calibrator(found.scores, found.labels, num_classes)
                found.scores = scores
                if keep is not None:
                    found = found[keep]
            order = found.scores.argsort(descending=True, stable=True)
            sample.pred_instances = found[order]
        return samples


def _tell_of_idle_thresholds(
    model: Any, calibrators: Iterable[Any], num_classes: int
) -> None:
    """Warn of thresholds by class that the detector's own, ``score_thr``, is above."""
    config = getattr(model, "test_cfg", None)
    config = config if isinstance(config, Mapping) else {}
    own = max(
        float(part.get("score_thr") or 0) for part in (config, config.get("rcnn") or {})
    )
    # The least score of each class, as the calibrators so far have made it.
    labels, least = torch.arange(num_classes), torch.full((num_classes,), own)
    for calibrator in calibrators:
        vectors = [v for v in calibrator.modules() if isinstance(v, ClassVector)]
        if any(v.value is not None and not v.value.numel() for v in vectors):
            return  # numbers by class name, before the classes are known
        if isinstance(calibrator, ClassScoreThreshold):
            numbers = calibrator.score_thr(num_classes, least).expand(num_classes)
            if count := int(((numbers > 0) & (numbers < least)).sum()):
                print_log(
                    f"{type(calibrator).__name__}: {count} thresholds are below "
                    f"`score_thr={own:g}` of the detector, which is in effect for them",
                    "current",
                    logging.WARNING,
                )
        else:
            least, _ = calibrator(least, labels, num_classes)


# Objects, not functions inside of `attach`: a copy of a model then has hooks that point
# to the copies of its own parts.


class _LogitHook:
    def __init__(self, calibration: Calibration, output: ClassifierOutput) -> None:
        self.calibration, self.output = calibration, output

    def __call__(self, layer: nn.Module, args: Any, made: Tensor) -> Tensor | None:
        # Not the layer's own mode: a frozen one is in evaluation while others train.
        if self.calibration.training:
            return None
        return self.output.apply(made, self.calibration.of_logits)


class _ScoreHook:
    def __init__(self, calibration: Calibration, num_classes: int) -> None:
        self.calibration, self.num_classes = calibration, num_classes

    @torch.no_grad()
    def __call__(self, model: Any, args: Any, kwargs: Any, made: Any) -> Any:
        mode = kwargs.get("mode", args[2] if len(args) > 2 else "tensor")
        if mode != "predict":
            return None
        return self.calibration.of_samples(made, self.num_classes)
