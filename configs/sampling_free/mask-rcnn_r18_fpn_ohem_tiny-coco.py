_base_ = "./mask-rcnn_r18_fpn_biased-sampling_tiny-coco.py"
model = dict(train_cfg=dict(rcnn=dict(sampler=dict(type="OHEMSampler"))))
