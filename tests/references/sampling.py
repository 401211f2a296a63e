"""Image weights of the samplers by their formulas, image by image."""

import math


def _counts(images, num_classes):
    image_count = [sum(c in labels for labels in images) for c in range(num_classes)]
    box_count = [sum(labels.count(c) for labels in images) for c in range(num_classes)]
    return image_count, box_count


def frequencies(images, num_classes, by):
    image_count, box_count = _counts(images, num_classes)
    by_image = [n / len(images) for n in image_count]
    by_box = [n / max(sum(box_count), 1) for n in box_count]
    if by == "image":
        return by_image
    if by == "instance":
        return by_box
    return [math.sqrt(a * b) for a, b in zip(by_image, by_box, strict=True)]


def repeat_factors(images, num_classes, threshold, power, by, max_repeat=math.inf):
    frequency = frequencies(images, num_classes, by)
    result = []
    for labels in images:
        factor = 1.0
        for c in labels:
            factor = max(factor, (threshold / frequency[c]) ** power)
        result.append(min(factor, max_repeat))
    return result


def class_first_probability(images, num_classes, power):
    """Probability of each image if a class is drawn, then an image with it."""
    image_count, _ = _counts(images, num_classes)
    present = [c for c in range(num_classes) if image_count[c]]
    total = sum(image_count[c] ** power for c in present)
    result = [0.0] * len(images)
    for c in present:
        of_class = image_count[c] ** power / total
        for i, labels in enumerate(images):
            if c in labels:
                result[i] += of_class / image_count[c]
    return result


def difficulty_weights(images, weights, by):
    image_count, _ = _counts(images, len(weights))
    result = []
    for labels in images:
        mine = [weights[c] for c in sorted(set(labels))]
        if by == "class":
            result.append(sum(weights[c] / image_count[c] for c in set(labels)))
        elif not mine:
            result.append(1.0)
        else:
            result.append(max(mine) if by == "max" else sum(mine) / len(mine))
    return result
