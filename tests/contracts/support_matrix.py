"""Which loss the tests run in which head; ``python -m tests.contracts.support_matrix``.

The tables of READMEs are these, made of the combinations that
``test_loss_in_heads.py`` trains and predicts with, and of the heads of mmdet that
``test_loss_in_mmdet_heads.py`` trains, or is refused by.
"""

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
        f"| other losses that train | {listed(also)} |",
        f"| no place for a loss | {listed(mmdet_heads.NO_PLACE)} |",
    ]
    lines += [
        f"| refused: {why} | {listed(sorted(names))} |"
        for why, names in sorted(reasons.items())
    ]
    return "\n".join(lines)


if __name__ == "__main__":
    print(support_matrix())
    print()
    print(heads_of_mmdet())
