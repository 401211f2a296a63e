"""Arguments that each classification loss must refuse when it is built."""

__all__ = ["BAD"]

#: One at a time, beside those of the loss's first case.
BAD = {
    "ABSGDLoss": (
        dict(lam=0),
        dict(gamma=0.0),
        dict(rows="negatives"),
        dict(max_weight=0.5),
        dict(loss="CrossEntropyLoss"),
    ),
    "ACSLLoss": (dict(score_thr=1.5), dict(rates="counts"), dict(use_sigmoid=False)),
    "AlphaLoss": (dict(alpha=0), dict(alpha=-1), dict(alpha=[0.5, 1.0])),
    "AsymmetricLoss": (
        dict(gamma_neg=-1),
        dict(gamma_pos=-1),
        dict(margin=0.3),
        dict(alpha=1.5),
        dict(use_sigmoid=False),
    ),
    "BalancedGroupSoftmaxLoss": (
        dict(edges=(10, 5)),
        dict(beta=-1),
        dict(groups="boxes"),
        dict(average="classes"),
        dict(use_sigmoid=True),
    ),
    "BalancedSoftmaxLoss": (dict(prior="boxes"), dict(background="drop")),
    "CDBLoss": (dict(gamma=-1), dict(loss_weight=-1)),
    "CDTLoss": (dict(gamma=-1),),
    "CrossEntropyLoss": (dict(class_weight="rare"), dict(bg_weight=-1)),
    "DropLoss": (dict(threshold=-1), dict(sampled=2), dict(use_sigmoid=False)),
    "EBLLoss": (
        dict(momentum=1),
        dict(init_score=0),
        dict(bg_score=1),
        dict(use_sigmoid=True),
    ),
    "ECMLoss": (
        dict(counts="boxes"),
        dict(bg_ratio=0),
        dict(min_count=0),
        dict(use_sigmoid=False),
    ),
    "EQLLoss": (
        dict(threshold=-1),
        dict(num_images=0),
        dict(tail="rare"),
        dict(use_sigmoid=False),
    ),
    "EQLv2Loss": (
        dict(gamma=0),
        dict(mu=-1),
        dict(alpha=-1),
        dict(objectness="yes"),
        dict(use_sigmoid=False),
    ),
    "EqualizedFocalLoss": (
        dict(gamma=0),
        dict(alpha=2),
        dict(scale=-1),
        dict(use_sigmoid=False),
    ),
    "FederatedLoss": (
        dict(num=0),
        dict(num=2.5),
        dict(power=-1),
        dict(weight="boxes"),
        dict(seed=-1),
        dict(use_sigmoid=False),
    ),
    "FocalLoss": (dict(gamma=-1), dict(alpha=2), dict(use_sigmoid=False)),
    "GHMCLoss": (dict(bins=0), dict(momentum=2), dict(use_sigmoid=False)),
    "GumbelLoss": (
        dict(drop="yes"),
        dict(threshold=0.1),  # without `drop`
        dict(use_sigmoid=False),
    ),
    "IIFLoss": (dict(weight="boxes"), dict(min_count=0), dict(use_sigmoid=True)),
    "LDAMLoss": (
        dict(max_margin=-1),
        dict(scale=0),
        dict(margin="boxes"),
        dict(use_sigmoid=True),
    ),
    "LabelAwareSmoothingLoss": (
        dict(head=2),
        dict(tail=-1),
        dict(smoothing="square"),
        dict(by="boxes"),
        dict(over="rows"),
        dict(loss="CrossEntropyLoss"),
    ),
    "LogitAdjustmentLoss": (dict(tau=-1), dict(test_prior=[0.5, 0])),
    "LogitClipLoss": (dict(tau=0), dict(p=0.5), dict(loss="CrossEntropyLoss")),
    "SeesawLoss": (
        dict(p=-1),
        dict(q=-1),
        dict(eps=0),
        dict(statistics="epoch"),
        dict(average="classes"),
        dict(use_sigmoid=True),
    ),
    "VSLoss": (
        dict(gamma=-1),
        dict(tau=-1),
        dict(prior="boxes"),
        dict(background="drop"),
        dict(background=0),
        dict(min_count=0),
    ),
}
