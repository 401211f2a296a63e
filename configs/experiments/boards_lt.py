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
)
