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
_classifier = "roi_head.bbox_head.fc_cls"
_scales, _scaled = f"{_classifier}.scale", dict(type="imb_det.ScaledLinear")
_cosine_rate = dict(eta_min=0, by_epoch=True, convert_to_iter_based=True)
_in_stages = {
    "param_scheduler": [
        dict(type="LinearLR", start_factor=0.01, by_epoch=False, begin=0, end=100),
        dict(_cosine_rate, type="CosineAnnealingLR", begin=0, end=3, T_max=3),
        dict(_cosine_rate, type="CosineRestartLR", begin=3, end=4, periods=[1]),
    ],
    "train_dataloader.sampler": dict(
        _delete_=True,
        type="imb_det.StagedSampler",
        stages=dict(features=None, classifier=dict(type="imb_det.ClassAwareSampler")),
    ),
}


def _two_stages(title, options=None, **stages):
    """Train all for three epochs, then a part of the classifier, from classes alike."""
    lengths = [dict(name="features", epochs=3), dict(name="classifier", epochs=1)]
    return dict(
        title=title,
        options={**_in_stages, **(options or {})},
        hooks=[
            dict(type="imb_det.StageHook", stages=lengths),
            dict(type="imb_det.FreezeHook", stages=stages),
        ],
        datasets=["faster_rcnn"],
    )


methods = dict(
    progressive=dict(
        options={"train_dataloader.sampler.progressive_epochs": 4},
    ),
    seesaw_mmdet=dict(options=_classes),
    eqlv2_mmdet=dict(options=_classes),
    copy_paste=dict(
        title="copy-paste of rare classes", config=_pasted, datasets=["faster_rcnn"]
    ),
    crt=_two_stages("cRT", classifier=dict(train_only=[_classifier], reinit=True)),
    lws=_two_stages(
        "LWS",
        {"model.roi_head.bbox_head.cls_predictor_cfg": _scaled},
        features=dict(freeze=[_scales]),
        classifier=dict(train_only=[_scales]),
    ),
    multi_expert=dict(
        title="three experts",
        options={
            "model.roi_head.bbox_head": dict(
                type="imb_det.MultiExpertShared2FCBBoxHead",
                loss_cls=None,
                losses=[
                    dict(type="imb_det.CrossEntropyLoss"),
                    dict(type="imb_det.LogitAdjustmentLoss", tau=1.0),
                    dict(type="imb_det.LogitAdjustmentLoss", tau=2.0),
                ],
            )
        },
        datasets=["faster_rcnn"],
    ),
)
