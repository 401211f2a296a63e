_base_ = "mmdet::mask2former/mask2former_r50_8xb2-lsj-50e_coco.py"
custom_imports = dict(imports=["imb_det"], allow_failed_imports=False)
loss_cls = dict(
    _delete_=True,
    type="imb_det.CrossEntropyLoss",
    use_sigmoid=False,
    loss_weight=2.0,
    class_weight="sqrt_inverse",
    bg_weight=0.1,
)
model = dict(panoptic_head=dict(type="imb_det.Mask2FormerHead", loss_cls=loss_cls))
custom_hooks = [dict(type="imb_det.ImbalanceHook")]
