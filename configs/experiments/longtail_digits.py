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

# In stages: all for three epochs, then a part of the classifier for one.
_fc_cls = "roi_head.bbox_head.fc_cls"
_box_head = "model.roi_head.bbox_head"
_aware = dict(type="imb_det.ClassAwareSampler")
_rate = dict(by_epoch=True, convert_to_iter_based=True, eta_min=0)


def _staged(title, frozen, lengths=None, samplers=None, restarts=(1.0,), **options):
    """Train stages of so many epochs, each with its sampler and what it freezes.

    The learning rate starts again with each of them, at `restarts` times the first.
    """
    lengths = lengths or dict(features=3, classifier=1)
    first, *others = lengths.values()
    sampler = dict(_delete_=True, type="imb_det.StagedSampler", stages=samplers)
    stages = [dict(name=name, epochs=epochs) for name, epochs in lengths.items()]
    return dict(
        title=title,
        options={
            "param_scheduler": [
                dict(
                    type="LinearLR", start_factor=0.01, by_epoch=False, begin=0, end=100
                ),
                dict(_rate, type="CosineAnnealingLR", begin=0, end=first, T_max=first),
                dict(
                    _rate,
                    type="CosineRestartLR",
                    begin=first,
                    end=first + sum(others),
                    periods=others,
                    restart_weights=list(restarts),
                ),
            ],
            **({"train_dataloader.sampler": sampler} if samplers else {}),
            **{f"{_box_head}.{name}": value for name, value in options.items()},
        },
        hooks=[
            dict(type="imb_det.StageHook", stages=stages),
            dict(type="imb_det.FreezeHook", stages=frozen),
        ],
        datasets=["faster_rcnn"],
    )


def _parts(*names):
    """Freeze parts of the classifier first, and all but them in the second stage."""
    parts = [f"{_fc_cls}.{name}" for name in names]
    return dict(features=dict(freeze=parts), classifier=dict(train_only=parts))


_second_aware = dict(features=None, classifier=_aware)
_lws = dict(
    frozen=_parts("scale"),
    samplers=_second_aware,
    cls_predictor_cfg=dict(type="imb_det.ScaledLinear"),
)
_smoothing = dict(
    type="imb_det.LabelAwareSmoothingLoss",
    loss=dict(type="imb_det.CrossEntropyLoss"),
    smoothing=dict(stages=dict(features=0.0, classifier="concave")),
    _delete_=True,
)
_inverse = dict(rule="power", power=1.0, normalize="classes")
_reweighted = dict(
    type="imb_det.CrossEntropyLoss",
    class_weight=dict(stages=dict(features=None, classifier=_inverse)),
    _delete_=True,
)
_experts = dict(
    type="imb_det.MultiExpertShared2FCBBoxHead",
    loss_cls=None,
    losses=[
        dict(type="imb_det.CrossEntropyLoss"),
        dict(type="imb_det.LogitAdjustmentLoss", tau=1.0),
        dict(type="imb_det.LogitAdjustmentLoss", tau=2.0),
    ],
)
_cab = {
    f"{_box_head}.reg_class_agnostic": False,
    f"{_box_head}.reg_predictor_cfg": dict(type="imb_det.CABLinear", alpha=0.5),
}
methods = dict(
    progressive=dict(
        options={"train_dataloader.sampler.progressive_epochs": 4},
    ),
    seesaw_mmdet=dict(options=_classes),
    eqlv2_mmdet=dict(options=_classes),
    copy_paste=dict(
        title="copy-paste of rare classes", config=_pasted, datasets=["faster_rcnn"]
    ),
    # In stages, with several classifiers, or other boxes.
    crt=_staged(
        "cRT",
        dict(classifier=dict(train_only=[_fc_cls], reinit=True)),
        samplers=_second_aware,
    ),
    lws=_staged("LWS", **_lws),
    lws_smoothing=_staged("LWS, label-aware smoothing", loss_cls=_smoothing, **_lws),
    disalign=_staged(
        "DisAlign",
        _parts("align_scale", "align_bias", "confidence"),
        cls_predictor_cfg=dict(type="imb_det.DisAlignLinear"),
        loss_cls=_reweighted,
    ),
    two_phase=_staged(
        "two phases",
        dict(classifier=dict(train_only=[_fc_cls])),
        samplers=dict(
            features=dict(type="imb_det.TargetLevelSampler", level=1.0),
            classifier=None,
        ),
    ),
    step_wise=_staged(
        "step by step",
        dict(tail=dict(train_only=["roi_head.bbox_head"])),
        lengths=dict(head=2, tail=1, joint=1),
        samplers=dict(
            head=None,
            tail=_aware,
            joint=dict(type="imb_det.RepeatFactorSampler", repeat_thr="auto"),
        ),
        restarts=(1.0, 0.3),
    ),
    multi_expert=dict(
        title="three experts", options={_box_head: _experts}, datasets=["faster_rcnn"]
    ),
    cab=dict(title="CAB", options=_cab, datasets=["faster_rcnn"]),
)
