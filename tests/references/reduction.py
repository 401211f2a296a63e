"""MMDetection's law of weights and reductions, in plain numbers."""

EPS = 2.0**-23  # what mmdet adds to every average factor


def weighted(values, weight=None):
    """Multiply rows or elements by weights of rows or of elements."""
    if weight is None:
        return values
    if isinstance(values[0] if values else 0.0, list):
        if values and not isinstance(weight[0], list):
            weight = [[w] * len(row) for w, row in zip(weight, values, strict=True)]
        return [weighted(*pair) for pair in zip(values, weight, strict=True)]
    return [v * w for v, w in zip(values, weight, strict=True)]


def flat(values):
    """All numbers of a list of numbers or of lists."""
    return [x for v in values for x in (v if isinstance(v, list) else [v])]


def reduced(values, reduction="mean", avg_factor=None):
    """Reduce weighted values as mmdet's ``weight_reduce_loss`` does."""
    if reduction == "none":
        return values
    total = sum(flat(values))
    if reduction == "sum":
        return total
    if avg_factor is None:
        return total / len(flat(values))
    return total / (avg_factor + EPS)
