"""Short trainings of a toy with held-out images, and an imitation of its runner."""

import contextlib
import itertools
import os
from types import SimpleNamespace

import torch
from mmdet.models.losses import CrossEntropyLoss
from mmdet.registry import MODELS
from mmengine.logging import MessageHub
from mmengine.runner import Runner

from imb_det.statistics import ClassStats

from . import toys

NUM_IMAGES, NUM_TRAINED = 9, 4
IMBALANCE = dict(type="imb_det.ImbalanceHook")
SEED = dict(type="imb_det.EpochSeedHook")
STATS = ClassStats(toys.CLASSES, [4, 3, 1], [5, 3, 1], 6)
run_number = itertools.count()


@MODELS.register_module()
class ToyDifficultyLoss(CrossEntropyLoss):
    """Sigmoid cross entropy with row weights by class."""

    def __init__(self, **kwargs):
        super().__init__(use_sigmoid=True, **kwargs)
        self.register_buffer("table", torch.ones(4))
        self.register_buffer("num_calls", torch.zeros(()))
        self.heard = []

    def set_class_difficulty_weights(self, weights):
        assert weights.dtype == torch.float32
        self.heard.append(weights.tolist())
        self.table[:3] = weights

    def forward(self, cls_score, label, weight, **kwargs):
        self.num_calls += 1  # whatever the mode, as some losses do
        return super().forward(cls_score, label, weight * self.table[label], **kwargs)


def model_config(loss="ToyDifficultyLoss"):
    config = toys.retinanet_config(num_classes=3)
    config.bbox_head.loss_cls = dict(type=loss) if isinstance(loss, str) else loss
    config.backbone.norm_cfg = dict(type="BN")
    # Differences between images and classes after a few steps.
    config.bbox_head.init_cfg = dict(type="Normal", layer="Conv2d", std=0.1)
    return config


def loader_config(root, part, batch_size=2, flip=False, **kwargs):
    transforms = [toys.RESIZE, *([dict(type="RandomFlip", prob=0.5)] if flip else [])]
    dataset = toys.coco_dataset_config(root, transforms, indices=list(part))
    return dict(batch_size=batch_size, num_workers=0, dataset=dataset, **kwargs)


def make_runner(
    root, name, hook, epochs=2, extra=(SEED,), loss="ToyDifficultyLoss", **kwargs
):
    shuffled = dict(type="DefaultSampler", shuffle=True)
    own = [] if hook is None else [dict(type="imb_det.ClassDifficultyHook", **hook)]
    options = dict(
        train_dataloader=loader_config(
            root, range(NUM_TRAINED), flip=True, sampler=shuffled
        ),
        train_cfg=dict(by_epoch=True, max_epochs=epochs),
        custom_hooks=[IMBALANCE, *own, *extra],
        default_hooks=dict(checkpoint=dict(type="CheckpointHook", interval=1)),
    )
    return Runner(
        model=model_config(loss),
        work_dir=str(root / name),
        optim_wrapper=dict(optimizer=dict(type="Adam", lr=0.003)),
        default_scope="mmdet",
        randomness=dict(seed=3),
        experiment_name=f"difficulty_{os.getpid()}_{next(run_number)}",
        **{**options, **kwargs},
    )


def weights_of(runner):
    return {k: v.clone() for k, v in runner.train().state_dict().items()}


def standing(root, model=None, **place):
    training = toys.coco_dataset_config(root, indices=list(range(NUM_TRAINED)))
    return SimpleNamespace(
        **{
            "model": model,
            "iter": 0,
            "epoch": 0,
            "seed": 3,
            "hooks": [],
            "work_dir": str(root),
            "message_hub": MessageHub("difficulty"),
            "optim_wrapper": SimpleNamespace(
                optim_context=lambda _model: contextlib.nullcontext()
            ),
            "train_dataloader": SimpleNamespace(
                dataset=toys.build_dataset(training), sampler=None
            ),
            **place,
        }
    )
