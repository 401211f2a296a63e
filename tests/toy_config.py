"""Writes a config that the command-line tools train in seconds."""

from pathlib import Path

from mmengine.config import Config

from tests import toys

CONFIGS = Path(__file__).parents[1] / "configs" / "sampling_free"

TEMPLATE = """
custom_imports = dict(imports=["imb_det"], allow_failed_imports=False)
default_scope = "mmdet"
model = {model}
train_dataloader = dict(
    batch_size={batch_size},
    num_workers={workers},
    persistent_workers=False,
    sampler=dict(type="DefaultSampler", shuffle=True),
    dataset={dataset},
)
train_cfg = dict(type="EpochBasedTrainLoop", max_epochs={epochs}, val_interval=100)
optim_wrapper = dict(
    type="OptimWrapper", optimizer=dict(type="AdamW", lr=1e-3, weight_decay=0.05)
)
param_scheduler = [
    dict(type="CosineAnnealingLR", by_epoch=True, begin=0, end={epochs},
         T_max={epochs}, convert_to_iter_based=True)
]
default_hooks = dict(
    logger=dict(type="LoggerHook", interval=1),
    checkpoint=dict(type="CheckpointHook", interval=1),
    sampler_seed=dict(type="DistSamplerSeedHook"),
)
custom_hooks = [
    dict(type="imb_det.ImbalanceHook"),
    dict(type="imb_det.PriorInitHook", cache_dir=False),
    dict(type="imb_det.EpochSeedHook"),
]
randomness = dict(seed=3)
env_cfg = dict(mp_cfg=dict(mp_start_method="fork", opencv_num_threads=0))
work_dir = {work_dir!r}
"""


def write_toy_config(folder, *, epochs=2, batch_size=2, workers=0, num_images=8):
    """Write data and config below ``folder``; return the path of the config."""
    toys.write_coco(folder / "data", num_images=num_images)
    flip = dict(type="RandomFlip", prob=0.5)
    dataset = toys.coco_dataset_config(folder / "data", transforms=[toys.RESIZE, flip])
    dataset["type"] = "imb_det.CocoDataset"
    model = toys.retinanet_config(head_type="imb_det.SamplingFreeRetinaHead")
    path = folder / "toy.py"
    path.write_text(
        TEMPLATE.format(
            model=model.to_dict(),
            dataset=dataset,
            epochs=epochs,
            batch_size=batch_size,
            workers=workers,
            work_dir=str(folder / "work"),
        )
    )
    return path


def use_small_model(cfg, name):
    """Put the model of a small sampling-free config, two-stage, into a toy config."""
    path = CONFIGS / f"{name}_r18_fpn_sampling-free_longtail-digits.py"
    model = Config.fromfile(path).model
    heads = model.roi_head.bbox_head
    for head in heads if isinstance(heads, list) else [heads]:
        head.update(num_classes=3, fc_out_channels=16)
    model.train_cfg.rpn_proposal.max_per_img = 20
    cfg.merge_from_dict(dict(model=dict(model, _delete_=True)))
    cfg.custom_hooks[1].head = "rpn_head"
