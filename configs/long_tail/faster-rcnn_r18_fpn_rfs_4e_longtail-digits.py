_base_ = "./faster-rcnn_r18_fpn_softmax_4e_longtail-digits.py"
train_dataloader = dict(
    sampler=dict(_delete_=True, type="imb_det.RepeatFactorSampler", repeat_thr="auto")
)
