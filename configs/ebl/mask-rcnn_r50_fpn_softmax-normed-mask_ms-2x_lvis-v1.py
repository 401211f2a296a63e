# First stage: the baseline with a cosine mask predictor.
_base_ = "../long_tail/mask-rcnn_r50_fpn_softmax_ms-2x_lvis-v1.py"
predictor = dict(type="imb_det.NormedConv2d", temperature=20)
model = dict(roi_head=dict(mask_head=dict(predictor_cfg=predictor)))
