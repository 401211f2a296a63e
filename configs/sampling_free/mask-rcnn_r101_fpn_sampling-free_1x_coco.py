_base_ = "./mask-rcnn_r50_fpn_sampling-free_1x_coco.py"
init_cfg = dict(type="Pretrained", checkpoint="torchvision://resnet101")
model = dict(backbone=dict(depth=101, init_cfg=init_cfg))
