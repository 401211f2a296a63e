# Photographs of 32 kinds of circuit boards, 60 boxes of the most frequent, 3 of the
# rarest; `data/boards_lt`. All images are square, 320 pixels.
_base_ = "./small_set.py"
data_root = "data/boards_lt/"
metainfo = dict(
    classes=(
        "arduino_mega_2560_black",
        "arduino_mega_2560_blue",
        "arduino_mega_2560_yellow",
        "arduino_uno_black",
        "arduino_uno_green",
        "arduino_uno_camera_shield",
        "arduino_uno_wifi_shield",
        "arduino_due",
        "arduino_micro",
        "arduino_nano",
        "arduino_promini",
        "arduino_zero",
        "arduino_leonardo",
        "esp32",
        "esp8266",
        "jetson_nano",
        "jetson_tx2",
        "raspberry_pi_1_b_plus",
        "raspberry_pi_3_b_plus",
        "raspberry_pi_1_a_plus",
        "raspberry_pi_2_b",
        "raspberry_pi_3_a_plus",
        "raspberry_pi_3_b",
        "raspberry_pi_4_b",
        "raspberry_pi_5",
        "raspberry_pi_zero",
        "raspberry_pi_zero_2_w",
        "raspberry_pi_zero_w",
        "raspberry_pi_zero_wh",
        "stm32",
        "telosb",
        "wemos",
    )
)
train_dataloader = dict(
    dataset=dict(
        type="imb_det.CocoDataset",
        data_root=data_root,
        metainfo=metainfo,
        ann_file="train.json",
        data_prefix=dict(img="train/"),
        filter_cfg=dict(filter_empty_gt=True, min_size=32),
        pipeline=_base_.train_pipeline,
    ),
)
val_dataloader = dict(
    dataset=dict(
        type="imb_det.CocoDataset",
        data_root=data_root,
        metainfo=metainfo,
        ann_file="val.json",
        data_prefix=dict(img="val/"),
    ),
)
test_dataloader = val_dataloader
val_evaluator = dict(
    type="imb_det.CocoMetric", ann_file=data_root + "val.json", metric="bbox"
)
test_evaluator = val_evaluator
