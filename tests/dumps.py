"""Predictions as `tools/test.py --out` writes them, without a test."""

from imb_det.evaluation.prediction_dump import PredictionDump


def dump(path, samples, classes, size=None):
    """Write data samples to a file of arrays; return its path."""
    metric = PredictionDump(path)
    metric.dataset_meta = dict(classes=classes)
    metric.process({}, samples)
    assert metric.evaluate(len(samples) if size is None else size) == {}
    return path
