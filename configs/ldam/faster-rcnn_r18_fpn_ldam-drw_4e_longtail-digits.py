_base_ = "./faster-rcnn_r18_fpn_ldam_4e_longtail-digits.py"
# Deferred re-weighting. The rate falls without steps: the authors' share in its place.
late = dict(rule="effective_number", beta=0.9999, normalize="classes")
weights = dict(stages=dict(plain=None, reweighted=late))
model = dict(roi_head=dict(bbox_head=dict(loss_cls=dict(class_weight=weights))))
custom_hooks = [
    dict(type="imb_det.ImbalanceHook"),
    dict(type="imb_det.EpochSeedHook"),
    dict(
        type="imb_det.StageHook",
        stages=[dict(name="plain", share=0.8), dict(name="reweighted")],
    ),
]
