"""Every classification loss with one class, with as many as LVIS has, and with none."""

import pytest
import torch

from imb_det.losses import flush_statistics
from imb_det.statistics import ClassStats

from .batches import assert_finite, channels, make_batch
from .cases import NAMES, of_activation

each = pytest.mark.parametrize("case", of_activation("softmax", "sigmoid"), ids=str)

LVIS = 1203
#: A long tail: from 2400 images to 2.
MANY = ClassStats(
    (*NAMES, *(f"class {c}" for c in range(3, LVIS))),
    [2 + 2398 // (c + 1) for c in range(LVIS)],
    [5 + 9000 // (c + 1) for c in range(LVIS)],
    20_000,
)
ONE = ClassStats(("ant",), [2], [3], 4)


@pytest.mark.parametrize(
    "case", [c for c in of_activation("softmax", "sigmoid") if c.any_classes], ids=str
)
@pytest.mark.parametrize("stats", [ONE, MANY], ids=["one class", "as LVIS"])
def test_any_number_of_classes(case, stats):
    known = case.all_scores(torch.randn(5, channels(case))).sum(1)
    sums_to_one = torch.allclose(known, torch.ones(5))
    case = case.of_classes(stats.classes)
    classes = stats.num_classes
    loss = case.build(stats=stats)
    labels = torch.tensor([0, classes, classes - 1, classes // 2, classes, -1])
    for _ in range(2):
        logits = torch.randn(len(labels), channels(case, classes), requires_grad=True)
        value = loss(logits, labels, avg_factor=2.0)
        assert value > 0
        slope = assert_finite(value, logits)
        assert (slope[:5].abs().sum(1) > 0).all()
        flush_statistics(loss)
    assert loss.get_activation(logits).shape == (len(labels), classes)
    assert loss.get_cls_channels(classes) == channels(case, classes)
    scores = loss.get_activation(logits)
    assert scores.shape == (len(labels), classes + 1)
    assert ((scores >= 0) & (scores <= 1)).all()
    if sums_to_one:
        torch.testing.assert_close(scores.sum(1), torch.ones(len(labels)))


ABSENT = ClassStats(NAMES, [3, 0, 1], [4, 0, 1], 6)


@each
def test_a_class_without_examples_is_an_error_or_no_matter(case):
    loss, said = None, ""
    try:
        loss = case.build(stats=ABSENT)
    except ValueError as error:
        said = str(error)
    if loss is None:
        # Which class, and what to write.
        assert "Loss needs examples of every class" in said
        assert "none of ['bee']" in said
        assert "`metainfo['classes']`" in said
        assert "`min_count=1`" in said
        loss = case.with_min_count(1).build(stats=ABSENT)
    for seed in (0, 1):
        # Its outputs are there, and negatives of other rows.
        for labels in ((0, 3, 2, 3), (0, 3, 2, 1)):
            logits, labels = make_batch(case, labels, seed)
            assert_finite(loss(logits, labels, avg_factor=2.0), logits)
        flush_statistics(loss)
    assert all(buffer.isfinite().all() for buffer in loss.buffers())
    assert case.all_scores(logits).isfinite().all()
