"""Class weights, one class at a time in float64."""

import math


def rule_weight(rule, n, f, median_f, beta):
    """Weight of one class with n instances in a share f of the images."""
    if rule == "inverse":
        return 1 / n
    if rule == "sqrt_inverse":
        return 1 / math.sqrt(n)
    if rule == "effective_number":
        # 1 + beta + ... + beta^(n - 1) is the effective number itself.
        return 1 / math.fsum(beta**i for i in range(n))
    return median_f / f


def class_weights(
    instances, images, num_images, rule, beta=0.999, max_ratio=100.0, by="classes"
):
    """Weights of all classes; None sets no limit."""
    frequencies = sorted(m / num_images for m in images if m)
    if not frequencies:
        return [1.0 for _ in instances]
    half = len(frequencies) // 2
    median_f = frequencies[half]
    if len(frequencies) % 2 == 0:
        median_f = (frequencies[half - 1] + frequencies[half]) / 2
    raw = [
        rule_weight(rule, n, m / num_images, median_f, beta) if n else None
        for n, m in zip(instances, images, strict=True)
    ]
    present = [w for w in raw if w is not None]
    limit = math.inf if max_ratio is None else max_ratio * min(present)
    present = [min(w, limit) for w in present]
    mean = math.fsum(present) / len(present)
    if by == "instances":
        counts = [n for n in instances if n]
        shares = [n / sum(counts) for n in counts]
        mean = math.fsum(w * s for w, s in zip(present, shares, strict=True))
    if rule == "median_frequency":
        mean = min(limit, 1.0)
    return [1.0 if w is None else min(w, limit) / mean for w in raw]
