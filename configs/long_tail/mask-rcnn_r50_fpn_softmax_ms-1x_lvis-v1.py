_base_ = "./mask-rcnn_r50_fpn_softmax_sample1e-3_ms-1x_lvis-v1.py"
# Each image once: without the wrapper that repeats rare classes.
dataset = dict(_base_.train_dataloader.dataset.dataset, _delete_=True)
train_dataloader = dict(dataset=dataset)
