"""Splits, slowly: counted image by image, and the best of all that there are."""

import itertools


def part_counts(labels_per_image, part_of_image, num_parts, num_classes):
    """Images and boxes of each class in each part, as two lists of lists."""
    images = [[0] * num_classes for _ in range(num_parts)]
    boxes = [[0] * num_classes for _ in range(num_parts)]
    for labels, part in zip(labels_per_image, part_of_image, strict=True):
        for label in set(labels):
            images[part][label] += 1
        for label in labels:
            boxes[part][label] += 1
    return images, boxes


def worst_errors(labels_per_image, part_of_image, shares, num_classes):
    """Largest relative error of the shares of each class; None without boxes."""
    counts = part_counts(labels_per_image, part_of_image, len(shares), num_classes)
    worst = []
    for label in range(num_classes):
        errors = []
        for kind in counts:
            total = sum(kind[p][label] for p in range(len(shares)))
            for p, share in enumerate(shares):
                if total:
                    errors.append(abs(kind[p][label] / (share * total) - 1))
        worst.append(max(errors, default=None))
    return worst


def absences(labels_per_image, group_of, part_of_group, num_parts, num_classes):
    """Classes of two groups or more that lack training or validation, and tests.

    Returns:
        How many are not in training, how many not in validation, how many classes of
        one group are not in training, and how many classes lack how many tests.
    """
    holders = [set() for _ in range(num_classes)]
    for labels, group in zip(labels_per_image, group_of, strict=True):
        for label in labels:
            holders[label].add(group)
    lacking, rare, tests = [0, 0], 0, 0
    for groups in holders:
        if not groups:
            continue
        parts = {part_of_group[g] for g in groups}
        if len(groups) >= 2:
            lacking[0] += 0 not in parts
            lacking[1] += 1 not in parts
        else:
            rare += 0 not in parts
        tests += sum(p not in parts for p in range(2, num_parts))
    return sum(lacking), lacking[0], rare, tests


def least_absences(labels_per_image, group_of, num_parts, num_classes):
    """The least that any split has."""
    number = max(group_of) + 1
    return min(
        absences(labels_per_image, group_of, parts, num_parts, num_classes)
        for parts in itertools.product(range(num_parts), repeat=number)
    )


def least_error(number, shares):
    """The least worst relative error of a split of some images, by trying all.

    Each part has one where there are enough.
    """

    def compositions(left, parts):
        if parts == 1:
            yield (left,)
            return
        for first in range(left + 1):
            for others in compositions(left - first, parts - 1):
                yield first, *others

    return min(
        max(abs(k / (number * s) - 1) for k, s in zip(split, shares, strict=True))
        for split in compositions(number, len(shares))
        if number < len(shares) or min(split) > 0
    )
