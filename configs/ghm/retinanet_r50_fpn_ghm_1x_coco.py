_base_ = "mmdet::retinanet/retinanet_r50_fpn_1x_coco.py"
custom_imports = dict(imports=["imb_det"], allow_failed_imports=False)
model = dict(
    bbox_head=dict(
        # The authors sum five FPN levels, each divided by its own number of examples;
        # these losses divide by that of all levels: five times the authors' weights, 1
        # and 10. (Their running mean, over levels in turn, makes it about 4 to 5.)
        loss_cls=dict(
            _delete_=True,
            type="imb_det.GHMCLoss",
            bins=30,
            momentum=0.75,
            use_sigmoid=True,
            loss_weight=5.0,
        ),
        loss_bbox=dict(
            _delete_=True,
            type="imb_det.GHMRLoss",
            mu=0.02,
            bins=10,
            momentum=0.7,
            loss_weight=50.0,
        ),
    )
)
optim_wrapper = dict(clip_grad=dict(max_norm=35, norm_type=2))
val_evaluator = dict(type="imb_det.CocoMetric")
test_evaluator = val_evaluator
custom_hooks = [dict(type="imb_det.ImbalanceHook")]
