_base_ = "mmdet::mask2former/mask2former_r50_8xb2-lsj-50e_coco.py"
custom_imports = dict(imports=["imb_det"], allow_failed_imports=False)
loss_dice = dict(
    _delete_=True,
    type="imb_det.TverskyLoss",
    loss_weight=5.0,
    class_weight="sqrt_inverse",
)
model = dict(panoptic_head=dict(type="imb_det.Mask2FormerHead", loss_dice=loss_dice))
custom_hooks = [dict(type="imb_det.ImbalanceHook")]
