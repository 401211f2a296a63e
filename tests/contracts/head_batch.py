"""The image, boxes and scores that the heads of the contract tests share."""

import torch
from mmengine.structures import InstanceData

from .cases import NUM_CLASSES

IMAGE = dict(img_shape=(64, 64), pad_shape=(64, 64))
BOXES = torch.tensor([[2.0, 2.0, 18.0, 18.0], [30.0, 20.0, 46.0, 40.0]])
TRUTH = InstanceData(bboxes=BOXES, labels=torch.tensor([0, 2]))


def score_table(results, boxes):
    """Scores by candidate and class from results that name box, class and score."""
    table = torch.full((len(boxes), NUM_CLASSES), torch.nan)
    rows = (results.bboxes[:, None] - boxes).abs().amax(-1).argmin(1)
    table[rows, results.labels] = results.scores
    return table


def known_logits(case, head):
    """Logits in which every class is the best of some row, the last one included."""
    logits = torch.randn(head.candidates, NUM_CLASSES + case.channels)
    rows = torch.arange(head.candidates)
    logits[rows, rows % NUM_CLASSES] += 4
    return logits
