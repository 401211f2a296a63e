# What helps on photographs of 32 kinds of circuit boards, with 3 to 60 images of each:
# a method changes one thing of plain training, combinations two, and all see as many
# images. The backbone is pretrained and frozen; `results` of the README explain them.
_test = dict(
    ann_file="data/boards_lt/val.json",
    train_ann="data/boards_lt/train.json",
    options={"train_cfg.val_interval": 1000},  # the test comes after the training
)
seeds = [0, 1, 2]
datasets = dict(
    faster_rcnn=dict(
        _test,
        title="Faster R-CNN",
        config="configs/lite0/faster-rcnn_lite0_fpn_boards-lt.py",
    ),
    retinanet=dict(
        _test,
        title="RetinaNet",
        config="configs/lite0/retinanet_lite0_fpn_boards-lt.py",
    ),
)


def _roi(title, base=(), hooks=(), head=None, **loss):
    """Make a method of the box head: its loss, and other options of the head."""
    options = {}
    if loss:
        loss = dict(loss, type=f"imb_det.{loss['type']}", _delete_=True)
        options["model.roi_head.bbox_head.loss_cls"] = loss
    for key, value in (head or {}).items():
        options[f"model.roi_head.bbox_head.{key}"] = value
    return dict(
        title=title,
        base=list(base),
        hooks=list(hooks),
        options=options,
        datasets=["faster_rcnn"],
    )


def _sampler(title, type, **options):
    """Make a method that shows other images, as many as plain training does."""
    sampler = dict(options, type=f"imb_det.{type}", num_samples=322, _delete_=True)
    return dict(title=title, options={"train_dataloader.sampler": sampler})


def _wrapped(title, type, hooks=(), **options):
    plain = dict(type="imb_det.CrossEntropyLoss")
    return _roi(title, hooks=hooks, type=type, loss=plain, **options)


def _staged(first, second, share):
    stages = [dict(name=first, share=share), dict(name=second)]
    return dict(type="imb_det.StageHook", stages=stages)


_cosine = dict(type="imb_det.NormedLinear", temperature=20)
_late = dict(rule="effective_number", beta=0.9999)
_deferred = dict(stages=dict(plain=None, reweighted=_late))
_rare = 13.5 / 322  # share of images below which a class is rare in these methods

methods = dict(
    plain=dict(title="plain"),
    # Foreground against background.
    ohem=dict(
        title="OHEM",
        options={"model.train_cfg.rcnn.sampler.type": "OHEMSampler"},
        datasets=["faster_rcnn"],
    ),
    all_proposals=dict(
        title="all proposals",
        options={
            "model.train_cfg.rcnn.sampler": dict(_delete_=True, type="PseudoSampler")
        },
        datasets=["faster_rcnn"],
    ),
    # Weights of classes.
    inverse=_roi("inverse weights", type="CrossEntropyLoss", class_weight="inverse"),
    inverse_instances=_roi(
        "inverse weights, mean 1 over boxes",
        type="CrossEntropyLoss",
        class_weight=dict(rule="inverse", normalize="instances"),
    ),
    sqrt_inverse=_roi(
        "square root weights", type="CrossEntropyLoss", class_weight="sqrt_inverse"
    ),
    sqrt_instances=_roi(
        "square root weights, mean 1 over boxes",
        type="CrossEntropyLoss",
        class_weight=dict(rule="sqrt_inverse", normalize="instances"),
    ),
    # Images.
    rfs=_sampler("RFS", "RepeatFactorSampler", repeat_thr="auto"),
    irfs=_sampler("IRFS", "RepeatFactorSampler", repeat_thr="auto", by="geometric"),
    class_aware=_sampler("class-aware sampler", "ClassAwareSampler"),
    target_level=_sampler("target level sampler", "TargetLevelSampler"),
    # Losses of the long tail.
    ours=_roi("softmax", type="CrossEntropyLoss"),
    sigmoid=_roi("sigmoid", type="CrossEntropyLoss", use_sigmoid=True),
    cosine=_roi("cosine classifier", head=dict(cls_predictor_cfg=_cosine)),
    logit_adjustment=_roi("logit adjustment", type="LogitAdjustmentLoss"),
    balanced_softmax=_roi(
        "balanced softmax by rows", type="BalancedSoftmaxLoss", prior="rows"
    ),
    vs=_roi("VS loss", type="VSLoss"),
    ldam=_roi(
        "LDAM",
        type="LDAMLoss",
        head=dict(cls_predictor_cfg=dict(_cosine, temperature=1, bias=False)),
    ),
    seesaw=_roi("Seesaw", type="SeesawLoss"),
    iif=_roi("IIF", type="IIFLoss"),
    rfs_cosine=dict(title="RFS, cosine classifier", base=["rfs", "cosine"]),
)
