# What is compared on every data set: a method changes one thing of plain training,
# combinations two or three, and all see as many images.
def _head(path, only, title, type, base, hooks, head, loss):
    options = {}
    if type is not None:
        given = dict(loss, type=type, _delete_=True)
        options[f"{path}.loss_cls"] = given
    options.update({f"{path}.{key}": value for key, value in (head or {}).items()})
    own = dict(base=list(base), hooks=list(hooks), options=options, datasets=only)
    return dict(own, title=title)


def _roi(title, type=None, base=(), hooks=(), head=None, **loss):
    """Change the box head of Faster R-CNN: its loss, and other options of it."""
    path, only = "model.roi_head.bbox_head", ["faster_rcnn"]
    return _head(path, only, title, type, base, hooks, head, loss)


def _dense(title, type=None, base=(), hooks=(), head=None, **loss):
    """Change the head of RetinaNet, which reads the activation from the config."""
    path, only = "model.bbox_head", ["retinanet"]
    loss = dict(loss, use_sigmoid=True)
    return _head(path, only, title, type, base, hooks, head, loss)


def _around(title, type, **options):
    return _roi(title, type, loss=dict(type="imb_det.CrossEntropyLoss"), **options)


def _sampler(title, type, only=("faster_rcnn", "retinanet"), hooks=(), **options):
    """Show other images, as many as plain training does."""
    sampler = dict(
        options, type=f"imb_det.{type}", num_samples="dataset", _delete_=True
    )
    return dict(
        title=title,
        options={"train_dataloader.sampler": sampler},
        datasets=list(only),
        hooks=list(hooks),
    )


def _all_of(title, *base):
    return dict(title=title, base=list(base))


def _staged(first, second, share):
    stages = [dict(name=first, share=share), dict(name=second)]
    return dict(type="imb_det.StageHook", stages=stages)


_roi_sampler = "model.train_cfg.rcnn.sampler"
_rpn_sampler = "model.train_cfg.rpn.sampler"
_cosine = dict(type="imb_det.NormedLinear", temperature=20)
_cosine_bare = dict(type="imb_det.NormedLinear", temperature=1, bias=False)
_drw = dict(
    stages=dict(plain=None, late=dict(rule="effective_number", beta=0.9999)),
)
_difficulty = dict(type="imb_det.ClassDifficultyHook", source="score")
_gradients = dict(type="imb_det.GradientHook")
_rare = 0.045  # share of the images up to which a class is rare, for a threshold

methods = dict(
    plain=dict(title="plain", hooks=[_gradients]),
    # Foreground against background.
    ohem=dict(
        title="OHEM",
        options={f"{_roi_sampler}.type": "OHEMSampler"},
        hooks=[_gradients],
        datasets=["faster_rcnn"],
    ),
    sampling_free=dict(
        title="sampling-free",
        options={
            "model.rpn_head.type": "imb_det.SamplingFreeRPNHead",
            "model.rpn_head.momentum": 0.99,
            "model.roi_head.bbox_head.type": "imb_det.SamplingFreeShared2FCBBoxHead",
            "model.roi_head.bbox_head.momentum": 0.99,
            _rpn_sampler: dict(_delete_=True, type="PseudoSampler"),
            _roi_sampler: dict(_delete_=True, type="imb_det.AllSampler"),
        },
        hooks=[dict(type="imb_det.PriorInitHook", head="rpn_head"), _gradients],
        datasets=["faster_rcnn"],
    ),
    roi_focal=_roi("focal loss", "imb_det.FocalLoss", hooks=[_gradients]),
    roi_ghm=_roi("GHM-C", "imb_det.GHMCLoss", hooks=[_gradients]),
    bce=_dense("cross entropy", "CrossEntropyLoss"),
    focal=_dense("focal loss, ours", "imb_det.FocalLoss"),
    focal_auto=_dense("focal loss, alpha by counts", "imb_det.FocalLoss", alpha="auto"),
    ghm_mmdet=_dense("GHM-C, mmdet's", "GHMC", bins=30, momentum=0.75),
    ghm=_dense("GHM-C", "imb_det.GHMCLoss", hooks=[_gradients]),
    sampling_free_dense=_dense(
        "sampling-free",
        "CrossEntropyLoss",
        head=dict(type="imb_det.SamplingFreeRetinaHead", momentum=0.99),
        hooks=[dict(type="imb_det.PriorInitHook"), _gradients],
    ),
    # Weights of classes.
    ce=_roi("cross entropy, ours", "imb_det.CrossEntropyLoss"),
    inverse=_roi("inverse weights", "imb_det.CrossEntropyLoss", class_weight="inverse"),
    inverse_classes=_roi(
        "inverse weights, mean 1 over classes",
        "imb_det.CrossEntropyLoss",
        class_weight=dict(rule="inverse", normalize="classes"),
    ),
    sqrt_inverse=_roi(
        "square root weights", "imb_det.CrossEntropyLoss", class_weight="sqrt_inverse"
    ),
    effective=_roi(
        "effective number weights",
        "imb_det.CrossEntropyLoss",
        class_weight="effective_number",
    ),
    drw=_roi(
        "deferred weights (DRW)",
        "imb_det.CrossEntropyLoss",
        class_weight=_drw,
        hooks=[_staged("plain", "late", 0.8)],
    ),
    cdb_w=_roi("CDB-W", "imb_det.CDBLoss", hooks=[_difficulty]),
    sqrt_dense=_dense(
        "cross entropy, square root weights",
        "imb_det.CrossEntropyLoss",
        class_weight="sqrt_inverse",
    ),
    sqrt_dense_classes=_dense(
        "cross entropy, square root weights, mean 1 over classes",
        "imb_det.CrossEntropyLoss",
        class_weight=dict(rule="sqrt_inverse", normalize="classes"),
    ),
    sqrt_dense_columns=_dense(
        "cross entropy, square root weights, of negatives too",
        "imb_det.CrossEntropyLoss",
        class_weight="sqrt_inverse",
        weight_negatives=True,
    ),
    cdb_w_dense=_dense("CDB-W", "imb_det.CDBLoss", hooks=[_difficulty]),
    # Images.
    rfs=_sampler("RFS", "RepeatFactorSampler", repeat_thr="auto"),
    irfs=_sampler("IRFS", "RepeatFactorSampler", repeat_thr="auto", by="geometric"),
    class_aware=_sampler("class-aware sampler", "ClassAwareSampler"),
    progressive=_sampler(
        "class-aware sampler, by and by", "ClassAwareSampler", progressive_epochs=24
    ),
    target_level=_sampler("target level sampler", "TargetLevelSampler"),
    cdb_s=_sampler("CDB-S", "CDBSampler", hooks=[_difficulty]),
    # Losses of the long tail.
    sigmoid=_roi("sigmoid", "imb_det.CrossEntropyLoss", use_sigmoid=True),
    cosine=_roi("cosine classifier", head=dict(cls_predictor_cfg=_cosine)),
    la=_roi("logit adjustment", "imb_det.LogitAdjustmentLoss"),
    la_half=_roi("logit adjustment, tau 0.5", "imb_det.LogitAdjustmentLoss", tau=0.5),
    balanced=_roi("balanced softmax", "imb_det.BalancedSoftmaxLoss", prior="rows"),
    balanced_sigmoid=_roi(
        "balanced sigmoid", "imb_det.BalancedSoftmaxLoss", use_sigmoid=True
    ),
    vs=_roi("VS loss", "imb_det.VSLoss"),
    cdt=_roi("CDT", "imb_det.CDTLoss"),
    ldam=_roi("LDAM", "imb_det.LDAMLoss", head=dict(cls_predictor_cfg=_cosine_bare)),
    ldam_drw=_roi(
        "LDAM-DRW",
        "imb_det.LDAMLoss",
        class_weight=_drw,
        head=dict(cls_predictor_cfg=_cosine_bare),
        hooks=[_staged("plain", "late", 0.8)],
    ),
    seesaw=_roi("Seesaw", "imb_det.SeesawLoss"),
    seesaw_mmdet=_roi("Seesaw, mmdet's", "SeesawLoss", num_classes=32),
    iif=_roi("IIF", "imb_det.IIFLoss"),
    bags=_roi("BAGS", "imb_det.BalancedGroupSoftmaxLoss"),
    ebl=_roi("EBL", "imb_det.EBLLoss"),
    alpha=_roi("alpha loss", "imb_det.AlphaLoss", alpha=0.9),
    eql=_roi("EQL", "imb_det.EQLLoss", threshold=_rare),
    drop=_roi("DropLoss", "imb_det.DropLoss", threshold=_rare),
    eqlv2=_roi("EQL v2", "imb_det.EQLv2Loss"),
    eqlv2_mmdet=_roi("EQL v2, mmdet's", "EQLV2Loss", num_classes=32),
    federated=_roi("federated loss", "imb_det.FederatedLoss", num=10),
    ecm=_roi("ECM", "imb_det.ECMLoss"),
    gumbel=_roi("Gumbel", "imb_det.GumbelLoss"),
    gol=_roi("GOL", "imb_det.GumbelLoss", drop=True, threshold=_rare),
    acsl=_roi("ACSL", "imb_det.ACSLLoss"),
    absgd=_around("ABSGD", "imb_det.ABSGDLoss"),
    clip=_around("logit clipping", "imb_det.LogitClipLoss"),
    smoothing=_around("label-aware smoothing", "imb_det.LabelAwareSmoothingLoss"),
    fading=_roi(
        "softmax fading to balanced softmax",
        "imb_det.FadingLoss",
        losses=[
            dict(type="imb_det.CrossEntropyLoss"),
            dict(type="imb_det.BalancedSoftmaxLoss"),
        ],
        share=dict(stages=dict(plain=0, fading=(0, 1))),
        hooks=[_staged("plain", "fading", 0.5)],
    ),
    efl=_dense("equalized focal loss", "imb_det.EqualizedFocalLoss"),
    eqlv2_dense=_dense("EQL v2", "imb_det.EQLv2Loss", objectness=False),
    asymmetric=_dense(
        "asymmetric loss",
        "imb_det.AsymmetricLoss",
        gamma_neg=2.0,
        gamma_pos=2.0,
        margin=0.0,
    ),
    federated_dense=_dense("federated loss", "imb_det.FederatedLoss", num=10),
    balanced_dense=_dense("balanced sigmoid", "imb_det.BalancedSoftmaxLoss"),
    # A sampler and a loss.
    rfs_cosine=_all_of("RFS, cosine classifier", "rfs", "cosine"),
    free_inverse=_all_of("sampling-free, inverse weights", "sampling_free", "inverse"),
    free_rfs=_all_of("sampling-free, RFS", "sampling_free", "rfs"),
    cosine_inverse=_all_of("cosine classifier, inverse weights", "cosine", "inverse"),
    rfs_cosine_inverse=_all_of(
        "RFS, cosine classifier, inverse weights", "rfs", "cosine", "inverse"
    ),
    cdb_s_cosine=_all_of("CDB-S, cosine classifier", "cdb_s", "cosine"),
    cosine_seesaw=_all_of("cosine classifier, Seesaw", "cosine", "seesaw"),
    cosine_free=_all_of("cosine classifier, sampling-free", "cosine", "sampling_free"),
    rfs_la_half=_all_of("RFS, logit adjustment, tau 0.5", "rfs", "la_half"),
    rfs_seesaw=_all_of("RFS, Seesaw", "rfs", "seesaw"),
    cosine_la=_all_of("cosine classifier, logit adjustment", "cosine", "la"),
)
