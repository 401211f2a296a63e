_base_ = "./fcos_r50-caffe_fpn_gn-head_sampling-free_1x_coco.py"
init_cfg = dict(type="Pretrained", checkpoint="open-mmlab://detectron/resnet101_caffe")
model = dict(backbone=dict(depth=101, init_cfg=init_cfg))
