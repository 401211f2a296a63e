# DisAlign: logits aligned behind a gate, from images as they are, classes re-weighted
# by 1 / n; the authors' power for LVIS is 0.8.
_base_ = "./faster-rcnn_lite0_fpn_crt_boards-lt.py"
weights = dict(rule="power", power=1.0, normalize="classes")
loss_cls = dict(
    type="imb_det.CrossEntropyLoss",
    class_weight=dict(stages=dict(features=None, classifier=weights)),
)
model = dict(
    roi_head=dict(
        bbox_head=dict(
            cls_predictor_cfg=dict(type="imb_det.DisAlignLinear"),
            loss_cls=dict(loss_cls, _delete_=True),
        )
    )
)
sampler = dict(_delete_=True, type="DefaultSampler", shuffle=True)
train_dataloader = dict(sampler=sampler)
parts = [
    f"roi_head.bbox_head.fc_cls.{part}"
    for part in ("align_scale", "align_bias", "confidence")
]
*others, freezing = _base_.custom_hooks
stages = dict(features=dict(freeze=parts), classifier=dict(train_only=parts))
custom_hooks = [*others, dict(freezing, stages=stages)]
