"""Foreground count by brute force: real images, and what the loss is really given."""

import torch
from torch import nn


class Recorder(nn.Module):
    """Stands in for a classification loss and counts the rows that it is given."""

    use_sigmoid = True

    def __init__(self, num_classes):
        super().__init__()
        self.num_classes = num_classes
        self.positive = self.total = 0

    def forward(self, pred, label, weight=None, **kwargs):
        if isinstance(label, tuple):  # with qualities
            label = label[0]
        assert len(label) == len(pred)
        if weight is not None:
            label = label[weight > 0]
        self.total += len(label)
        self.positive += int(((label >= 0) & (label < self.num_classes)).sum())
        return pred.sum() * 0


def count_candidates(dataset, model):
    """Positive and all training candidates over one pass through the data set."""
    head = model.bbox_head
    usual, head.loss_cls = head.loss_cls, Recorder(head.num_classes)
    for index in range(len(dataset)):
        packed = dataset[index]
        batch = model.data_preprocessor(
            {"inputs": [packed["inputs"]], "data_samples": [packed["data_samples"]]},
            training=True,
        )
        if head.num_classes == 1:  # proposals know no classes
            batch["data_samples"][0].gt_instances.labels.zero_()
        with torch.no_grad():
            model(**batch, mode="loss")
    recorder, head.loss_cls = head.loss_cls, usual
    return recorder.positive, recorder.total
