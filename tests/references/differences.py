"""Gradients from differences of a float64 function."""


def gradient(function, rows, step=1e-5):
    """Derivatives of ``function(rows)`` by every entry of a list of lists."""
    slopes = []
    for i, row in enumerate(rows):
        slopes.append([])
        for j, value in enumerate(row):
            ends = []
            for shift in (step, -step):
                moved = [list(r) for r in rows]
                moved[i][j] = value + shift
                ends.append(function(moved))
            slopes[-1].append((ends[0] - ends[1]) / (2 * step))
    return slopes
