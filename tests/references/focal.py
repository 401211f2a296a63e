"""Focal loss, one logit at a time in float64."""

from .quality import by_target, quality_focal


def focal_elements(logits, targets, gamma, alpha):
    """Loss of each element: a |y - p|^gamma (-y log p - (1 - y) log(1 - p)).

    With p = 1 / (1 + exp(-z)), and a = alpha_c where y > 0, else 1 - alpha_c.
    """
    return [
        [
            by_target(y, a, 1 - a) * quality_focal(z, y, gamma)
            for z, y, a in zip(row, target, alpha, strict=True)
        ]
        for row, target in zip(logits, targets, strict=True)
    ]
