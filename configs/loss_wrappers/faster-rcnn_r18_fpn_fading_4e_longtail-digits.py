_base_ = "../long_tail/faster-rcnn_r18_fpn_softmax_4e_longtail-digits.py"
loss_cls = dict(
    _delete_=True,
    type="imb_det.FadingLoss",
    losses=[
        dict(type="imb_det.CrossEntropyLoss"),
        dict(type="imb_det.BalancedSoftmaxLoss"),
    ],
    share=dict(stages=dict(plain=0, fading=(0, 1))),
)
model = dict(roi_head=dict(bbox_head=dict(loss_cls=loss_cls)))
custom_hooks = [
    dict(type="imb_det.ImbalanceHook"),
    dict(type="imb_det.EpochSeedHook"),
    dict(
        type="imb_det.StageHook",
        stages=[dict(name="plain", share=0.5), dict(name="fading")],
    ),
]
