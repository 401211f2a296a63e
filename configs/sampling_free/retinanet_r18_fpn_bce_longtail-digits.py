# Plain binary cross entropy at RetinaNet's usual prior of 0.01: what is left of the
# focal twin without any answer to the foreground-background imbalance.
_base_ = "./retinanet_r18_fpn_focal_longtail-digits.py"
model = dict(
    bbox_head=dict(
        loss_cls=dict(_delete_=True, type="CrossEntropyLoss", use_sigmoid=True)
    )
)
