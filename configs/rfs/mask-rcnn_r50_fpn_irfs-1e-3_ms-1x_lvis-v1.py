_base_ = "./mask-rcnn_r50_fpn_rfs-1e-3_ms-1x_lvis-v1.py"
train_dataloader = dict(sampler=dict(by="geometric"))
