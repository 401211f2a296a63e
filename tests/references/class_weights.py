"""Class weights, one class at a time in float64."""

import math


def rule_weight(rule, n, f, median_f, beta, power=1.0):
    """Weight of one class with n instances in a share f of the images."""
    if rule == "inverse":
        return 1 / n
    if rule == "sqrt_inverse":
        return 1 / math.sqrt(n)
    if rule == "power":
        return math.exp(-power * math.log(n))
    if rule in ("effective_number", "class_beta"):
        # 1 + beta + ... + beta^(n - 1) is the effective number itself.
        return 1 / math.fsum(beta**i for i in range(n))
    return median_f / f


def beta_of(n, present, betas):
    """Beta of a class with n instances, in a line from the rarest to the largest."""
    low, high = min(present), max(present)
    share = (n - low) / (high - low) if high > low else 0
    return betas[0] + (betas[1] - betas[0]) * share


def class_weights(
    instances,
    images,
    num_images,
    rule,
    beta=0.999,
    max_ratio=100.0,
    by="instances",
    betas=(0.99, 0.9999),
    power=1.0,
):
    """Weights of all classes; None sets no limit."""
    frequencies = sorted(m / num_images for m in images if m)
    if not frequencies:
        return [1.0 for _ in instances]
    half = len(frequencies) // 2
    median_f = frequencies[half]
    if len(frequencies) % 2 == 0:
        median_f = (frequencies[half - 1] + frequencies[half]) / 2
    counts = [n for n in instances if n]
    by_class = [
        beta_of(n, counts, betas) if rule == "class_beta" else beta for n in instances
    ]
    raw = [
        rule_weight(rule, n, m / num_images, median_f, b, power) if n else None
        for n, m, b in zip(instances, images, by_class, strict=True)
    ]
    present = [w for w in raw if w is not None]
    limit = math.inf if max_ratio is None else max_ratio * min(present)
    present = [min(w, limit) for w in present]
    mean = math.fsum(present) / len(present)
    if by == "instances":
        shares = [n / sum(counts) for n in counts]
        mean = math.fsum(w * s for w, s in zip(present, shares, strict=True))
    if rule == "median_frequency":
        mean = min(limit, 1.0)
    return [1.0 if w is None else min(w, limit) / mean for w in raw]
