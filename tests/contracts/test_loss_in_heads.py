"""Every classification loss in every kind of head it supports.

A head trains a step with it, and predicts with the activation that is trained.
"""

import pytest
import torch

from imb_det.losses import flush_statistics

from .cases import NUM_CLASSES
from .head_batch import known_logits
from .heads import HEADS
from .support_matrix import (
    combinations,
    heads_of_mmdet,
    priors_of_mmdet,
    support_matrix,
)

pytestmark = pytest.mark.filterwarnings("ignore:torch.meshgrid")

pairs = pytest.mark.parametrize(("case", "heading"), combinations(), ids=str)


def build(case, heading):
    """A head with the loss, as it is after training has started."""
    head = HEADS[heading][0](case.config)
    case.start(head.head.loss_mask if case.activation == "mask" else head.head.loss_cls)
    return head


@pairs
def test_trains(case, heading):
    head = build(case, heading)
    optimizer = torch.optim.SGD(head.head.parameters(), lr=0.01)
    for _ in range(2):
        losses = head.losses()
        parts = [
            part
            for name, value in losses.items()
            if "loss" in name
            for part in (value if isinstance(value, list) else [value])
        ]
        optimizer.zero_grad()
        sum(part.sum() for part in parts).backward()
        slopes = [p.grad for p in head.head.parameters() if p.grad is not None]
        assert all(part.isfinite().all() for part in parts)
        assert all(slope.isfinite().all() for slope in slopes)
        name = "conv_logits" if case.activation == "mask" else "cls"
        assert any(
            p.grad.abs().sum() > 0 for n, p in head.head.named_parameters() if name in n
        )
        optimizer.step()
        flush_statistics(head.head)


@pytest.mark.parametrize(
    ("case", "heading"),
    [pair for pair in combinations() if pair[0].activation != "mask"],
    ids=str,
)
def test_predicts_with_the_trained_activation(case, heading):
    head = build(case, heading)
    logits = known_logits(case, head)
    scores = head.scores(logits)
    wanted = case.probabilities(logits)
    kept = ~scores.isnan()
    torch.testing.assert_close(scores[kept], wanted[kept])
    assert kept.all() or not head.keeps_all
    best = scores.nan_to_num(-1).argmax(1)
    assert torch.equal(best, wanted.argmax(1))
    assert set(best.tolist()) == set(range(NUM_CLASSES))


@pytest.mark.parametrize(
    ("file", "name", "table"),
    [
        ("configs/README.md", "support matrix", support_matrix),
        ("configs/class_weight/README.md", "heads of mmdet", heads_of_mmdet),
        ("configs/sampling_free/README.md", "priors of mmdet", priors_of_mmdet),
    ],
)
def test_readme_has_the_tables(repo_root, file, name, table):
    text = (repo_root / file).read_text(encoding="utf-8")
    _, _, rest = text.partition(f"<!-- {name} -->")
    found, end, _ = rest.partition(f"<!-- end of {name} -->")
    assert end
    assert found.strip() == table(), (
        "put the output of `python -m tests.contracts.support_matrix` between "
        f"`<!-- {name} -->` and `<!-- end of {name} -->` of {file}"
    )
