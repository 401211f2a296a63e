"""A runner of a toy detector on a toy data set, with the hooks of the library."""

import itertools
import os

from mmdet.models import RetinaHead
from mmdet.registry import MODELS
from mmengine.evaluator import BaseMetric
from mmengine.registry import METRICS
from mmengine.runner import Runner

from tests import toys

CAT, DOG = ("cat", (3, 3, 20, 20)), ("dog", (10, 5, 33, 28))
IMAGES = [[CAT], [CAT, DOG], [CAT, CAT, DOG], [], [CAT, DOG]]
METAINFO = dict(classes=("cat", "dog"))
PIPELINE = [
    dict(type="LoadImageFromFile"),
    dict(type="LoadAnnotations", with_bbox=True),
    dict(type="Resize", scale=(48, 36)),
    dict(type="RandomFlip", prob=0.5),
    dict(type="PackDetInputs"),
]
BOTH_HOOKS = (dict(type="imb_det.ImbalanceHook"), dict(type="imb_det.EpochSeedHook"))
run_number = itertools.count()


class Listener:
    """Remembers the statistics that it is given."""

    def __init__(self):
        self.heard = []

    def set_class_stats(self, stats):
        self.heard.append(stats)


@MODELS.register_module()
class ListeningHead(RetinaHead, Listener):
    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        self.heard = []


@METRICS.register_module()
class ListeningMetric(BaseMetric, Listener):
    def __init__(self):
        super().__init__(prefix="toy")
        self.heard = []

    def process(self, data_batch, data_samples):
        self.results.append(len(data_samples))

    def compute_metrics(self, results):
        return dict(images=sum(results))


def dataset_config(arguments, **kwargs):
    return {
        "type": "imb_det.VOCDataset",
        "metainfo": METAINFO,
        "pipeline": PIPELINE,
        "serialize_data": False,
        **arguments,
        **kwargs,
    }


def lvis_config(root, **kwargs):
    """A data set of what ``write_lvis`` has written there."""
    return {
        "type": "imb_det.CocoDataset",
        "metainfo": METAINFO,
        "pipeline": PIPELINE,
        "serialize_data": False,
        "ann_file": f"{root}/ann.json",
        "data_prefix": dict(img=str(root)),
        **kwargs,
    }


def loader_config(dataset, shuffle, **kwargs):
    sampler = dict(type="DefaultSampler", shuffle=shuffle)
    return dict(batch_size=2, num_workers=0, sampler=sampler, dataset=dataset, **kwargs)


LISTENING = dict(type="ListeningMetric")


def make_runner(
    work_dir, dataset, max_epochs=1, hooks=BOTH_HOOKS, val_evaluator=LISTENING, **kwargs
):
    """Build it; other arguments of the runner take the place of those of here."""
    evaluation = loader_config({**dataset, "test_mode": True}, shuffle=False)
    arguments = dict(
        model=toys.retinanet_config(2, "ListeningHead"),
        work_dir=str(work_dir),
        train_dataloader=loader_config(dataset, shuffle=True),
        train_cfg=dict(by_epoch=True, max_epochs=max_epochs),
        val_dataloader=evaluation,
        val_cfg=dict(),
        val_evaluator=val_evaluator,
        test_dataloader=evaluation,
        test_cfg=dict(),
        test_evaluator=LISTENING,
        optim_wrapper=dict(optimizer=dict(type="SGD", lr=0.01, momentum=0.9)),
        custom_hooks=list(hooks),
        default_scope="mmdet",
        randomness=dict(seed=3),
        experiment_name=f"hook_{os.getpid()}_{next(run_number)}",
    )
    return Runner(**arguments | kwargs)
