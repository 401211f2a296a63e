# What helps on photographs of 32 kinds of circuit boards, with 3 to 60 images of each.
# The backbone is pretrained and frozen.
_base_ = "./methods.py"
seeds = [0, 1, 2]
_test = dict(
    ann_file="data/boards_lt/val.json",
    train_ann="data/boards_lt/train.json",
    options={"train_cfg.val_interval": 1000},  # the test comes after the training
)
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
    rtmdet=dict(
        _test,
        title="RTMDet",
        config="configs/lite0/rtmdet_lite0_boards-lt.py",
    ),
    deformable_detr=dict(
        _test,
        title="Deformable DETR",
        config="configs/lite0/deformable-detr_lite0_boards-lt.py",
    ),
    mask_rcnn=dict(
        _test,
        title="Mask R-CNN",
        config="configs/lite0/mask-rcnn_lite0_fpn_boards-lt.py",
    ),
)


def _loss(detector, title, type, **loss):
    """Change the loss of classes of a detector with one head."""
    given = dict(loss, type=f"imb_det.{type}", use_sigmoid=True, _delete_=True)
    options = {"model.bbox_head.loss_cls": given}
    return dict(title=title, options=options, datasets=[detector])


def _point(title, type, **loss):
    return _loss("rtmdet", title, type, **loss)


def _query(title, type, **loss):
    return _loss("deformable_detr", title, type, loss_weight=2.0, **loss)


_cals = "configs/loss_wrappers/faster-rcnn_lite0_fpn_cals_boards-lt.py"
_wrapped = "configs/rfs/faster-rcnn_lite0_fpn_class-balanced-dataset_boards-lt.py"
_pasted = "configs/copy_paste/{}_lite0_fpn_copy-paste_boards-lt.py"
_decoupled = "configs/decoupled/faster-rcnn_lite0_fpn_{}_boards-lt.py"


def _two_stages(title, name):
    config = _decoupled.format(name)
    return dict(title=title, config=config, datasets=["faster_rcnn"])


methods = dict(
    rfs=dict(
        datasets=["faster_rcnn", "retinanet", "rtmdet", "deformable_detr", "mask_rcnn"]
    ),
    cosine=dict(datasets=["faster_rcnn", "mask_rcnn"]),
    cals=dict(title="CALS", config=_cals, datasets=["faster_rcnn"]),
    rfs_mmengine=dict(
        title="RFS, mmengine's", config=_wrapped, datasets=["faster_rcnn"]
    ),
    copy_paste=dict(
        title="copy-paste of rare classes",
        config=dict(
            faster_rcnn=_pasted.format("faster-rcnn"),
            mask_rcnn=_pasted.format("mask-rcnn"),
        ),
        datasets=["faster_rcnn", "mask_rcnn"],
    ),
    # In stages, with several classifiers, or other boxes.
    crt=_two_stages("cRT", "crt"),
    lws=_two_stages("LWS", "lws"),
    lws_smoothing=_two_stages("LWS, label-aware smoothing", "lws-smoothing"),
    disalign=_two_stages("DisAlign", "disalign"),
    two_phase=_two_stages("two phases", "two-phase"),
    step_wise=_two_stages("step by step", "step-wise"),
    multi_expert=_two_stages("three experts", "multi-expert"),
    cab=_two_stages("CAB", "cab"),
    by_class=dict(
        title="boxes by class",
        options={"model.roi_head.bbox_head.reg_class_agnostic": False},
        datasets=["faster_rcnn"],
    ),
    # Losses of qualities, and of queries.
    sqrt_point=_point(
        "square root weights", "QualityFocalLoss", class_weight="sqrt_inverse"
    ),
    inverse_point=_point("inverse weights", "QualityFocalLoss", class_weight="inverse"),
    bce_point=_point(
        "quality cross entropy, without focus", "QualityFocalLoss", beta=0.0
    ),
    eqfl=_point("EQFL", "EqualizedQualityFocalLoss"),
    eqfl_low=_point("EQFL, scale 2", "EqualizedQualityFocalLoss", scale=2.0),
    auto_query=_query("focal loss, alpha by counts", "FocalLoss", alpha="auto"),
    balanced_query=_query("balanced sigmoid", "BalancedSoftmaxLoss"),
    efl_query=_query("equalized focal loss", "EqualizedFocalLoss"),
)
