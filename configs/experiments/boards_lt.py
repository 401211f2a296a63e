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
    mask_rcnn=dict(
        _test,
        title="Mask R-CNN",
        config="configs/lite0/mask-rcnn_lite0_fpn_boards-lt.py",
    ),
)
_cals = "configs/loss_wrappers/faster-rcnn_lite0_fpn_cals_boards-lt.py"
_wrapped = "configs/rfs/faster-rcnn_lite0_fpn_class-balanced-dataset_boards-lt.py"
_pasted = "configs/copy_paste/{}_lite0_fpn_copy-paste_boards-lt.py"
_decoupled = "configs/decoupled/faster-rcnn_lite0_fpn_{}_boards-lt.py"


def _two_stages(title, name):
    config = _decoupled.format(name)
    return dict(title=title, config=config, datasets=["faster_rcnn"])


methods = dict(
    rfs=dict(datasets=["faster_rcnn", "retinanet", "mask_rcnn"]),
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
    crt=_two_stages("cRT", "crt"),
    lws=_two_stages("LWS", "lws"),
    lws_smoothing=_two_stages("LWS, label-aware smoothing", "lws-smoothing"),
    disalign=_two_stages("DisAlign", "disalign"),
    two_phase=_two_stages("two phases", "two-phase"),
    step_wise=_two_stages("step by step", "step-wise"),
    multi_expert=_two_stages("three experts", "multi-expert"),
    cab=_two_stages("CAB", "cab"),
)
