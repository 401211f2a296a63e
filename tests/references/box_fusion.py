"""Weighted boxes fusion, one box after the other."""


def overlap(a, b):
    width = max(min(a[2], b[2]) - max(a[0], b[0]), 0)
    height = max(min(a[3], b[3]) - max(a[1], b[1]), 0)
    areas = [(c[2] - c[0]) * (c[3] - c[1]) for c in (a, b)]
    return width * height / (sum(areas) - width * height)


def fused(found, shares, iou_thr):
    """Fuse lists of (box, score, label); return such a list, the best first."""
    rows = [
        (share * score, box, label)
        for own, share in zip(found, shares, strict=True)
        for box, score, label in own
    ]
    clusters = []
    for mass, box, label in sorted(rows, key=lambda row: -row[0]):
        best, place = iou_thr, None
        for i, (of_label, _, mean) in enumerate(clusters):
            if of_label == label and overlap(mean, box) > best:
                best, place = overlap(mean, box), i
        if place is None:
            clusters.append([label, [(mass, box)], box])
            continue
        members = clusters[place][1]
        members.append((mass, box))
        total = sum(m for m, _ in members)
        clusters[place][2] = [
            sum(m * b[k] for m, b in members) / total for k in range(4)
        ]
    made = []
    for label, members, mean in clusters:
        score = sum(m for m, _ in members) * min(len(found), len(members))
        made.append((mean, score / len(members), label))
    return sorted(made, key=lambda row: -row[1])
