# What helps on the embedded digits: 40 classes, 800 to 4 training images of each. The
# backbone is pretrained, on photographs, and frozen.
_base_ = "./methods.py"
seeds = [0, 1, 2]
_test = dict(
    ann_file="data/longtail_digits/annotations/val.json",
    train_ann="data/longtail_digits/annotations/train.json",
    options={"train_cfg.val_interval": 1000},  # the test comes after the training
)
datasets = dict(
    faster_rcnn=dict(
        _test,
        title="Faster R-CNN",
        config="configs/lite0/faster-rcnn_lite0_fpn_longtail-digits.py",
    ),
    retinanet=dict(
        _test,
        title="RetinaNet",
        config="configs/lite0/retinanet_lite0_fpn_longtail-digits.py",
    ),
)
_pasted = "configs/copy_paste/faster-rcnn_lite0_fpn_copy-paste_longtail-digits.py"
_classes = {"model.roi_head.bbox_head.loss_cls.num_classes": 40}
methods = dict(
    progressive=dict(
        options={"train_dataloader.sampler.progressive_epochs": 4},
    ),
    seesaw_mmdet=dict(options=_classes),
    eqlv2_mmdet=dict(options=_classes),
    copy_paste=dict(
        title="copy-paste of rare classes", config=_pasted, datasets=["faster_rcnn"]
    ),
)
