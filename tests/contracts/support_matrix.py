"""Which loss the tests run in which head; ``python -m tests.contracts.support_matrix``.

The table of the README is this one, made of the combinations that
``test_loss_in_heads.py`` trains and predicts with.
"""

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


if __name__ == "__main__":
    print(support_matrix())
