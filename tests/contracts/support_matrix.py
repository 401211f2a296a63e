"""Which loss the tests run in which head; ``python -m tests.contracts.support_matrix``.

The tables of READMEs are these, made of the combinations that
``test_loss_in_heads.py`` trains and predicts with, and of the heads of mmdet that
``test_loss_in_mmdet_heads.py`` trains, or is refused by; the table of priors is made of
what ``PriorInitHook`` does with each of these heads.
"""

from mmdet.models.task_modules import PseudoSampler
from torch import nn

from imb_det.prior.classification_bias import find_head
from imb_det.prior.query_prior import has_queries
from imb_det.registry import MODELS

from . import mmdet_heads
from .cases import CASES
from .heads import HEADS


def combinations():
    """All pairs of a case and a heading of ``HEADS`` that belong together."""
    return [
        (case, heading)
        for case in CASES
        for heading, (_head, activation) in HEADS.items()
        if activation in (case.activation, None) and fits(case, heading)
    ]


def fits(case, heading):
    """Whether a case of any activation fits a head."""
    if case.activation == "mask":
        return heading == "mask head"
    if case.only_in_roi_heads:
        return heading.startswith("RoI head")
    # DETRHead itself, other than its subclasses, takes a number for all classes only.
    return not (heading == "DETRHead" and "class_weight" in case.arguments)


def support_matrix():
    """Return the table in Markdown: rows are losses, columns are heads."""
    tested = {(case.loss, heading) for case, heading in combinations()}
    lines = [
        "| loss | " + " | ".join(HEADS) + " |",
        "|---" * (len(HEADS) + 1) + "|",
    ]
    for loss in dict.fromkeys(case.loss for case in CASES):
        entries = ["yes" if (loss, heading) in tested else "-" for heading in HEADS]
        lines.append(f"| `{loss}` | " + " | ".join(entries) + " |")
    return "\n".join(lines)


def heads_of_mmdet():
    """Return the table of heads in Markdown: what trains, and what is refused why."""

    def listed(names):
        return ", ".join(f"`{name}`" for name in names)

    trained = sorted(n for n in mmdet_heads.TRAINED if n not in mmdet_heads.SOFTMAX)
    softmax = sorted(mmdet_heads.SOFTMAX)
    also = [f"{head}.{loss}" for head, loss in sorted(mmdet_heads.ALSO)]
    reasons = {}
    for head, loss in mmdet_heads.REFUSED:
        why = mmdet_heads.WHY[head if loss == "loss_cls" else loss]
        reasons.setdefault(why, []).append(f"{head}.{loss}")
    for head, why in mmdet_heads.ALSO_REFUSED.items():
        reasons.setdefault(why, []).append(f"{head}.loss_cls")
    lines = [
        "| | heads of mmdet |",
        "|---|---|",
        f"| `loss_cls` trains, sigmoid | {listed(trained)} |",
        f"| `loss_cls` trains, softmax alone | {listed(softmax)} |",
        "| `loss_cls`, `loss_mask`, `loss_dice` train, softmax, in ours of that name "
        f"| {listed(mmdet_heads.MASK_QUERIES)} |",
        f"| `loss_seg` trains, softmax | {listed(mmdet_heads.MAPS)} |",
        f"| other losses that train | {listed(also)} |",
        f"| no place for a loss | {listed(mmdet_heads.NO_PLACE)} |",
    ]
    lines += [
        f"| refused: {why} | {listed(sorted(names))} |"
        for why, names in sorted(reasons.items())
    ]
    return "\n".join(lines)


def priors_of_mmdet():
    """Return in Markdown in which heads of mmdet a prior is known before training."""
    kind = "imb_det.CrossEntropyLoss"
    known, queries, refused = [], [], []
    bare = ("DDQDETRHead", "GroundingDINOHead")  # refused by their class
    for name in (*mmdet_heads.DENSE, *mmdet_heads.QUERIES, *bare):
        loss = dict(type=kind, use_sigmoid=name not in mmdet_heads.SOFTMAX)
        if name in bare:
            head = MODELS.get(name).__new__(MODELS.get(name))
            nn.Module.__init__(head)
        elif name in mmdet_heads.QUERIES:
            head, _ = mmdet_heads.query_losses(name, loss)
        else:
            losses = dict(loss_cls=loss) if name in mmdet_heads.TRAINED else {}
            head = mmdet_heads.build_dense(name, **losses)
        model = nn.Module()
        model.head, model.num_queries = head, 6
        head.sampler = PseudoSampler()
        try:
            find_head(model, "head", None)
        except TypeError as error:
            if name not in str(error):
                raise
            refused.append(name)
        else:
            (queries if has_queries(head) else known).append(name)
    ours = [name for name in MODELS.module_dict if name.startswith("SamplingFree")]
    own = [name.removeprefix("SamplingFree") for name in ours]
    rows = {
        "with the sampling-free loss, as `imb_det.SamplingFree...`": own,
        "the prior is counted": known,
        "the prior is the share of queries with an object": queries,
        "the share of positives is given": mmdet_heads.BOXES_OF_ROIS,
        "refused, the error says why": refused,
    }
    lines = ["| | heads of mmdet |", "|---|---|"]
    for row, names in rows.items():
        lines.append(f"| {row} | {', '.join(f'`{name}`' for name in sorted(names))} |")
    return "\n".join(lines)


if __name__ == "__main__":
    print(support_matrix())
    print()
    print(heads_of_mmdet())
    print()
    print(priors_of_mmdet())
