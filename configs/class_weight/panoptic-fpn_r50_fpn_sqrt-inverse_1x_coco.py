_base_ = "mmdet::panoptic_fpn/panoptic-fpn_r50_fpn_1x_coco.py"
custom_imports = dict(imports=["imb_det"], allow_failed_imports=False)
loss_cls = dict(
    _delete_=True,
    type="imb_det.CrossEntropyLoss",
    use_sigmoid=False,
    class_weight="sqrt_inverse",
)
loss_seg = dict(
    _delete_=True,
    type="imb_det.CrossEntropyLoss",
    ignore_index=255,
    loss_weight=0.5,
    class_weight="sqrt_inverse",
)
model = dict(
    roi_head=dict(bbox_head=dict(loss_cls=loss_cls)),
    semantic_head=dict(loss_seg=loss_seg),
)
custom_hooks = [dict(type="imb_det.ImbalanceHook")]
val_evaluator = [
    dict(
        type="CocoPanopticMetric",
        ann_file="data/coco/annotations/panoptic_val2017.json",
        seg_prefix="data/coco/annotations/panoptic_val2017/",
    ),
    dict(type="imb_det.SemSegMetric"),
]
test_evaluator = val_evaluator
