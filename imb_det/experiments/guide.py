"""What to use when, each line with the measured row that it rests on."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from .tables import cell, difference_text

__all__ = ["GUIDE", "Advice", "guide_table"]

#: Differences from plain training that a line shows.
_FIGURES = {"APr": "APr", "APf": "APf", "top1_r": "top-1 rare"}


@dataclass(frozen=True)
class Advice:
    """One line of the guide.

    Args:
        when: What a user has, Markdown.
        use: What to do about it, Markdown.
        dataset: Data set of the experiment on which it was measured.
        method: Method of that experiment.
        cost: What it costs, in words. Default: time and memory differ by less than
            what the noise of a measurement explains.
        about: What it is against; of one matter the first line that fits is
            prescribed. Default: the rare classes.
        needs: What must hold of a config for it to be prescribed, see
            :func:`imb_det.doctor.facts.facts_of`. Default: no config gets it.
        changes: What it changes in a config, values by dotted key; ``BOX_HEAD`` stands
            for the path of each box head. Default: nothing.
    """

    when: str
    use: str
    dataset: str
    method: str
    cost: str = "none that was measured"
    about: str = "rare classes"
    needs: tuple[str, ...] = ()
    changes: Mapping[str, Any] = field(default_factory=dict)

    @property
    def case(self) -> str:
        """What a user has, for a line that is read without the others."""
        return self.when.replace("the same", _RARE, 1)


_RARE = "rare classes that get too little AP, in a head with a softmax"
_COSINE = '`cls_predictor_cfg=dict(type="imb_det.NormedLinear", temperature=20)`'
_RFS = {
    "train_dataloader.sampler": dict(
        _delete_=True,
        type="imb_det.RepeatFactorSampler",
        repeat_thr="auto",
        num_samples="dataset",
    )
}
_CLASSIFIER = {
    "BOX_HEAD.cls_predictor_cfg": dict(
        _delete_=True, type="imb_det.NormedLinear", temperature=20
    )
}
_SEESAW = {"BOX_HEAD.loss_cls": dict(_delete_=True, type="imb_det.SeesawLoss")}

#: Lines of one matter in the order of what they gain.
GUIDE = (
    Advice(
        _RARE,
        '`RepeatFactorSampler` with `repeat_thr="auto"` and a cosine classifier, '
        f"{_COSINE}",
        "faster_rcnn",
        "rfs_cosine",
        needs=("rare_classes", "plain_sampler", "plain_classifier", "plain_box_loss"),
        changes={**_RFS, **_CLASSIFIER},
    ),
    Advice(
        "the same, and a sampler that balances classes",
        "the cosine classifier beside that sampler",
        "faster_rcnn",
        "rfs_cosine",
        needs=("rare_classes", "balanced_sampler", "plain_classifier"),
        changes=_CLASSIFIER,
    ),
    Advice(
        "the same, and the sampler is to stay, as it feeds mosaics",
        "the cosine classifier alone",
        "faster_rcnn",
        "cosine",
        needs=("rare_classes", "mixed_images", "plain_classifier"),
        changes=_CLASSIFIER,
    ),
    Advice(
        "the same, and the classifier is to stay",
        "`imb_det.SeesawLoss`",
        "faster_rcnn",
        "seesaw",
        needs=("rare_classes", "plain_sampler", "own_classifier", "plain_box_loss"),
        changes=_SEESAW,
    ),
    Advice(
        "rare classes, in a head of queries (DETR and its kin)",
        '`RepeatFactorSampler` with `repeat_thr="auto"`',
        "deformable_detr",
        "rfs",
        needs=("rare_classes", "plain_sampler", "queries"),
        changes=_RFS,
    ),
    Advice(
        "rare objects that are found and given the name of a frequent class",
        "`imb_det.LogitAdjustmentLoss`; judge it by top-1, as AP hardly sees it",
        "faster_rcnn",
        "la",
    ),
    Advice(
        "a two-stage detector that samples proposals",
        "the sampling-free heads",
        "faster_rcnn",
        "sampling_free",
        cost="training takes 1.4 times as long",
        about="foreground and background",
    ),
    Advice(
        "a plan to use class weights alone",
        "not these alone: names of rare classes, and no AP that is told from 0; on a "
        "longer tail far less AP",
        "faster_rcnn",
        "inverse",
    ),
)


def guide_table(
    titles: Mapping[str, str],
    comparisons: Mapping[str, Mapping[str, Any]],
    guide: Sequence[Advice] = GUIDE,
    beside: Mapping[str, Mapping[str, Any]] | None = None,
    place: str = "",
) -> str:
    """Write the guide as a table in Markdown.

    Args:
        titles: Of the methods, by name.
        comparisons: What ``compare_runs`` has written, by data set.
        guide: Its lines. Default: the guide of this library.
        beside: Comparisons of another experiment with the same methods, whose first
            figure is told as well, where there is one. Default: None.
        place: What that experiment is about, in a word. Default: none.

    Raises:
        ValueError: A line whose row was not measured.
    """
    header = ["you have", "use", "its row", *_FIGURES.values()]
    first, title = next(iter(_FIGURES.items()))
    if beside is not None:
        header.append(f"{title}, {place}")
    lines = [[*header, "cost"]]
    lines.append(["---"] * len(lines[0]))
    for advice in guide:
        found = comparisons.get(advice.dataset, {}).get("differences", {})
        if advice.method not in found:
            raise ValueError(
                f"the guide rests on {advice.method!r} on {advice.dataset!r}, which is "
                f"not compared; there are {sorted(found)}"
            )
        row = f'"{cell(titles[advice.method])}"'
        figures = [_figure(comparisons, advice, name) for name in _FIGURES]
        if beside is not None:
            figures.append(_figure(beside, advice, first))
        lines.append([advice.when, advice.use, row, *figures, advice.cost])
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


def _figure(
    comparisons: Mapping[str, Mapping[str, Any]], advice: Advice, name: str
) -> str:
    """Return the difference of one figure; ``-`` where it was not measured."""
    comparison = comparisons.get(advice.dataset, {})
    own = comparison.get("differences", {}).get(advice.method)
    if own is None:
        return "-"
    seeds = len(comparison["methods"][advice.method]["files"])
    return difference_text(own.get(name), seeds) or "-"
