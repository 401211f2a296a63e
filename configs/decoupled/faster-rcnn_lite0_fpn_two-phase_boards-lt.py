# Two phases of the systematic study: all from balanced images, then the classifier from
# images as they are.
_base_ = "./faster-rcnn_lite0_fpn_crt_boards-lt.py"
balanced = dict(type="imb_det.TargetLevelSampler", level=1.0)
stages = dict(features=balanced, classifier=None)
train_dataloader = dict(sampler=dict(stages=dict(stages, _delete_=True)))
*others, freezing = _base_.custom_hooks
phases = dict(classifier=dict(train_only=["roi_head.bbox_head.fc_cls"]))
custom_hooks = [*others, dict(freezing, stages=phases)]
