"""A toy detector that is trained in two stages, its classifier alone in the second."""

import torch

from tests import toys
from tests.toy_runner import dataset_config, make_runner

CLASSIFIER = "bbox_head.retina_cls"
STAGES = [dict(name="features", epochs=1), dict(name="classifier", epochs=1)]
HOOK = dict(
    type="imb_det.FreezeHook",
    stages=dict(classifier=dict(train_only=[CLASSIFIER], reinit=True)),
)
COUNTING = dict(type="imb_det.ImbalanceHook", check_images=False)
SEEDS = dict(type="imb_det.EpochSeedHook")
DECAY = dict(
    optimizer=dict(type="SGD", lr=0.01, momentum=0.9, weight_decay=0.1),
)
UNVALIDATED = dict(val_dataloader=None, val_cfg=None, val_evaluator=None)


def model_config(norm="BN"):
    """With statistics of normalisation that a training moves."""
    config = toys.retinanet_config(2, "ListeningHead")
    if norm == "BN":
        config.backbone.norm_cfg = dict(type="BN", requires_grad=True)
    return config


def freezing_runner(work_dir, dataset, *others, hook=HOOK, stages=STAGES, **options):
    """The runner, with the hooks of the library and others."""
    hooks = [COUNTING, SEEDS, dict(type="imb_det.StageHook", stages=stages), hook]
    options = UNVALIDATED | dict(model=model_config(), optim_wrapper=DECAY) | options
    epochs = options.pop("epochs", 2)
    return make_runner(work_dir, dataset, epochs, [*hooks, *others], **options)


def checkpoint(path):
    return torch.load(path, weights_only=False)


__all__ = [
    "CLASSIFIER",
    "HOOK",
    "STAGES",
    "checkpoint",
    "dataset_config",
    "freezing_runner",
    "model_config",
]
