"""Foreground count by brute force: real images, the head's own targets."""

import torch


def count_candidates(dataset, model):
    """Positive and all training anchors over one pass through the data set."""
    head = model.bbox_head
    positive = total = 0
    for index in range(len(dataset)):
        packed = dataset[index]
        batch = model.data_preprocessor(
            {"inputs": [packed["inputs"]], "data_samples": [packed["data_samples"]]},
            training=True,
        )
        with torch.no_grad():
            scores = head(model.extract_feat(batch["inputs"]))[0]
        sample = batch["data_samples"][0]
        anchors, valid = head.get_anchors(
            [score.shape[-2:] for score in scores], [sample.metainfo], device="cpu"
        )
        labels, weights = head.get_targets(
            anchors,
            valid,
            [sample.gt_instances],
            [sample.metainfo],
            batch_gt_instances_ignore=[sample.ignored_instances],
        )[:2]
        for label, weight in zip(labels, weights, strict=True):
            positive += int(((weight > 0) & (label < head.num_classes)).sum())
            total += int((weight > 0).sum())
    return positive, total
