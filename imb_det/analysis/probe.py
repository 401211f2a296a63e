"""What a linear classifier makes of the features of true boxes."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any, NamedTuple

import numpy as np
import torch
from mmcv.ops import roi_align
from mmdet.models.detectors import BaseDetector
from mmengine.registry import DATASETS
from torch import Tensor, nn
from torch.nn.functional import cross_entropy
from tqdm import tqdm

from imb_det.statistics import ClassStats
from imb_det.statistics.class_weights import class_weights

__all__ = [
    "Probed",
    "box_dataset",
    "box_features",
    "probe",
    "probe_table",
    "ranking_ap",
]

_BINS = 7  # of a box, a side; their mean is its feature
_CLASSIFIERS = ("plain", "sqrt_inverse", "inverse", "logit adjustment")


class Probed(NamedTuple):
    """What a classifier reaches on each class, NaN for classes without test boxes.

    Args:
        named_right: Share of boxes that get their class, float64 (C,).
        ranking_ap: Average precision of all boxes ranked by the class's score, (C,).
    """

    named_right: np.ndarray
    ranking_ap: np.ndarray


def box_dataset(loader: Mapping[str, Any], pipeline: Iterable[Any]) -> Any:
    """Build the data set of a loader for :func:`box_features`, without its wrappers.

    Args:
        loader: Config of a dataloader.
        pipeline: Steps that a detector is tested with; boxes are loaded right after the
            image, so that they are resized with it.
    """
    config = loader["dataset"]
    while isinstance(config.get("dataset"), dict):
        config = config["dataset"]
    boxes = dict(type="LoadAnnotations", with_bbox=True)
    image, *others = [step for step in pipeline if step["type"] != boxes["type"]]
    return DATASETS.build(dict(config, pipeline=[image, boxes, *others]))


@torch.no_grad()
def box_features(
    model: BaseDetector, dataset: Any, flip: bool = False
) -> tuple[Tensor, Tensor]:
    """Average the backbone's outputs over true boxes.

    Args:
        model: Detector with ``data_preprocessor`` and ``backbone``.
        dataset: Built, with boxes in the coordinates of the images that it gives.
        flip: Whether mirrored images come too. Default: False.

    Returns:
        Features float32 (n, channels of all levels), labels int64 (n,).

    Raises:
        ValueError: There is no box.
    """
    model.eval()
    features, labels = [], []
    for index in tqdm(range(len(dataset)), desc="features", leave=False, disable=None):
        data = dataset[index]
        sample = data["data_samples"]
        found = sample.gt_instances
        boxes = torch.as_tensor(getattr(found.bboxes, "tensor", found.bboxes)).float()
        if len(boxes) == 0:
            continue
        batch = dict(inputs=[data["inputs"]], data_samples=[sample])
        image = model.data_preprocessor(batch)["inputs"]
        height, width = sample.metainfo["img_shape"][:2]
        for mirrored in [False, True][: 1 + flip]:
            x = image
            if mirrored:  # the image, not what it is padded with
                x = image.clone()
                x[..., :height, :width] = image[..., :height, :width].flip(-1)
                boxes = torch.stack(
                    [
                        width - boxes[:, 2],
                        boxes[:, 1],
                        width - boxes[:, 0],
                        boxes[:, 3],
                    ],
                    dim=1,
                )
            levels = model.backbone(x)
            rois = torch.cat([boxes.new_zeros(len(boxes), 1), boxes], dim=1).to(x)
            pooled = [
                roi_align(level, rois, _BINS, level.shape[-1] / x.shape[-1], 0)
                for level in levels
            ]
            features.append(torch.cat([p.mean((2, 3)) for p in pooled], dim=1).cpu())
            labels.append(torch.as_tensor(found.labels))
    if not features:
        raise ValueError("there is no box in the data set")
    return torch.cat(features), torch.cat(labels)


def probe(
    train: tuple[Tensor, Tensor],
    test: tuple[Tensor, Tensor],
    stats: ClassStats,
    weight_decay: float = 0.01,
) -> Iterator[tuple[str, Probed]]:
    r"""Fit logistic regressions that differ in how they treat rare classes.

    .. math:: \min_{W, b} \frac{1}{n} \sum_i w_{y_i}
        \mathrm{CE}(W x_i + b + a, y_i) + \frac{\lambda}{2} \lVert W \rVert^2

    with :math:`w = 1`, weights of a rule, or :math:`a = \log \pi`, logit adjustment,
    and, for that, plain training with :math:`\log \pi` subtracted afterwards.

    Args:
        train: Features and labels to fit to.
        test: Features and labels to judge by.
        stats: Counts of the training set.
        weight_decay: :math:`\lambda` > 0. Default: 0.01.

    Yields:
        Name of the classifier, and what it reaches.
    """
    (x, y), (z, t) = train, test
    mean, deviation = x.mean(0), x.std(0) + 1e-3
    x, z = (x - mean) / deviation, (z - mean) / deviation
    prior = torch.from_numpy(stats.class_prior.clip(1e-12)).log().float()
    for name in _CLASSIFIERS:
        weights, shift = torch.ones(stats.num_classes), torch.zeros(())
        if name == "logit adjustment":
            shift = prior
        elif name != "plain":
            weights = torch.from_numpy(class_weights(stats, name)).float()
        logits = _fitted(x, y, weights, shift, weight_decay)(z)
        yield name, _judged(logits, t)
        if name == "plain":
            yield "plain, adjusted afterwards", _judged(logits - prior, t)


def _fitted(
    x: Tensor, y: Tensor, weights: Tensor, shift: Tensor, weight_decay: float
) -> nn.Linear:
    classifier = nn.Linear(x.shape[1], len(weights))
    nn.init.zeros_(classifier.weight)
    nn.init.zeros_(classifier.bias)
    optimizer = torch.optim.LBFGS(
        classifier.parameters(), max_iter=300, line_search_fn="strong_wolfe"
    )

    def closure() -> Tensor:
        optimizer.zero_grad()
        rows = cross_entropy(classifier(x) + shift, y, reduction="none")
        decay = classifier.weight.square().sum() / 2
        loss = (rows * weights[y]).mean() + weight_decay * decay
        loss.backward()  # type: ignore[no-untyped-call]
        return loss

    optimizer.step(closure)  # type: ignore[no-untyped-call]
    return classifier.requires_grad_(False)


def _judged(logits: Tensor, labels: Tensor) -> Probed:
    right = (logits.argmax(1) == labels).numpy()
    scores, truth = logits.softmax(1).numpy(), labels.numpy()
    classes = range(logits.shape[1])
    with np.errstate(invalid="ignore"):
        named = [
            right[truth == c].mean() if (truth == c).any() else np.nan for c in classes
        ]
    return Probed(
        np.array(named),
        np.array([ranking_ap(scores[:, c], truth == c) for c in classes]),
    )


def ranking_ap(scores: np.ndarray, positive: np.ndarray) -> float:
    r"""Return the mean precision at the positives of a ranking; NaN without one.

    Args:
        scores: Of n examples, ties in the order given.
        positive: Bool (n,).
    """
    ranked = positive[np.argsort(-scores, kind="stable")]
    if not ranked.any():
        return float("nan")
    precision = np.cumsum(ranked) / np.arange(1, len(ranked) + 1)
    return float(precision[ranked].mean())


def probe_table(stats: ClassStats, found: Iterable[tuple[str, Probed]]) -> str:
    """Write what classifiers reach on each group of classes, as Markdown.

    Args:
        stats: Counts of the training set, with the limits of groups.
        found: From :func:`probe`.
    """
    groups = stats.groups()
    titles = [f"{what}: {name}" for what in ("named right", "AP") for name in groups]
    lines = [["classifier", *titles], ["---"] * (len(titles) + 1)]
    for name, probed in found:
        means = [np.nanmean(of[rows]) for of in probed for rows in groups.values()]
        lines.append([name, *(f"{mean:.3f}" for mean in means)])
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)
