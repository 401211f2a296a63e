"""Every config loads, builds, takes a training step and predicts."""

from pathlib import Path

import pytest
import torch
from mmdet.structures import DetDataSample
from mmengine.config import Config
from mmengine.structures import InstanceData

from tests import toys

ROOT = Path(__file__).parents[1]
CONFIGS = sorted(
    path
    for path in (ROOT / "configs").rglob("*.py")
    if "_base_" not in path.relative_to(ROOT).parts
)
SIDE = 128


def make_batch(num_classes):
    generator = torch.Generator().manual_seed(0)
    samples, images = [], []
    for _ in range(2):
        sample = DetDataSample()
        corners = torch.rand(3, 2, generator=generator) * 60
        sides = torch.rand(3, 2, generator=generator) * 40 + 20
        sample.gt_instances = InstanceData(
            bboxes=torch.cat([corners, corners + sides], 1),
            labels=torch.randint(num_classes, (3,), generator=generator),
        )
        sample.ignored_instances = InstanceData(
            bboxes=torch.zeros(0, 4), labels=torch.zeros(0, dtype=torch.long)
        )
        sample.set_metainfo(
            dict(
                img_shape=(SIDE, SIDE),
                ori_shape=(SIDE, SIDE),
                scale_factor=(1.0, 1.0),
                img_id=0,
            )
        )
        samples.append(sample)
        images.append(
            torch.randint(256, (3, SIDE, SIDE), generator=generator, dtype=torch.uint8)
        )
    return dict(inputs=images, data_samples=samples)


def without_pretrained(config):
    """Drop weights that would be downloaded."""
    for part in config.values():
        if isinstance(part, dict):
            without_pretrained(part)
    if (config.get("init_cfg") or {}).get("type") == "Pretrained":
        config["init_cfg"] = None


@pytest.mark.parametrize("path", CONFIGS, ids=lambda p: p.stem)
def test_config(path):
    cfg = Config.fromfile(path)
    assert cfg.custom_imports["imports"] == ["imb_det"]
    assert "imb_det.ImbalanceHook" in [hook["type"] for hook in cfg.custom_hooks]
    without_pretrained(cfg.model)
    model = toys.build_model(cfg.model)
    classes = cfg.val_dataloader.dataset.get("metainfo", {}).get("classes")
    if classes is not None:
        assert model.bbox_head.num_classes == len(classes)
    batch = make_batch(model.bbox_head.num_classes)
    model.train()
    data = model.data_preprocessor(batch, training=True)
    total, log = model.parse_losses(model(**data, mode="loss"))
    total.backward()
    assert all(value.isfinite().all() for value in log.values())
    for name, parameter in model.named_parameters():
        if parameter.requires_grad:
            assert parameter.grad is not None, f"{name} has no gradient"
            assert parameter.grad.isfinite().all(), name
    model.eval()
    with torch.no_grad():
        data = model.data_preprocessor(make_batch(1), training=False)
        (first, _) = model(**data, mode="predict")
    assert first.pred_instances.bboxes.shape[1] == 4
    assert (first.pred_instances.labels < model.bbox_head.num_classes).all()


@pytest.mark.parametrize("data", ["longtail-digits", "bccd"])
def test_twins_differ_in_the_method_alone(data):
    folder = ROOT / "configs" / "sampling_free"
    ours = Config.fromfile(folder / f"retinanet_r18_fpn_sampling-free_{data}.py")
    twin = Config.fromfile(folder / f"retinanet_r18_fpn_focal_{data}.py")
    ours.custom_hooks = [
        hook for hook in ours.custom_hooks if hook.type != "imb_det.PriorInitHook"
    ]
    ours.model.bbox_head.type = twin.model.bbox_head.type
    ours.model.bbox_head.loss_cls = twin.model.bbox_head.loss_cls
    ours.model.bbox_head.pop("momentum", None)
    assert ours.to_dict() == twin.to_dict()
