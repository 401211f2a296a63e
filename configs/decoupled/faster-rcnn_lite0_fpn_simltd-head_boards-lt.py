# SimLTD, the first step: the classes of more than 5 images alone.
_base_ = "../lite0/faster-rcnn_lite0_fpn_boards-lt.py"
tail_classes = (
    "arduino_mega_2560_blue",
    "arduino_uno_camera_shield",
    "arduino_due",
    "arduino_nano",
    "arduino_leonardo",
    "esp32",
    "esp8266",
    "jetson_nano",
    "raspberry_pi_1_b_plus",
    "raspberry_pi_2_b",
    "raspberry_pi_3_b",
    "raspberry_pi_5",
    "raspberry_pi_zero_w",
    "raspberry_pi_zero_wh",
    "wemos",
)
head_classes = tuple(filter(lambda c: c not in tail_classes, _base_.metainfo.classes))
own = dict(metainfo=dict(_delete_=True, classes=head_classes))
model = dict(roi_head=dict(bbox_head=dict(num_classes=len(head_classes))))
train_dataloader = dict(dataset=own)
val_dataloader = dict(dataset=own)
test_dataloader = val_dataloader
