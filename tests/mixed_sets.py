"""Data sets in wrappers and loaders, with images that show what was mixed."""

import os

import numpy as np
from mmcv.transforms import BaseTransform
from mmdet.registry import DATASETS
from mmengine.registry import init_default_scope
from mmengine.runner import Runner

from imb_det.registry import TRANSFORMS
from tests.masked_sets import record

SIZE = 16


def one_colour(info):
    """Step of a pipeline: pixels are twice the number of the image, boxes all of it."""
    number, instances = info["img_id"], info["instances"]
    results = record(
        np.full((SIZE, SIZE, 3), 2 * number, np.uint8),
        [[0, 0, SIZE, SIZE]] * len(instances),
        [instance["bbox_label"] for instance in instances],
        np.array([instance["ignore_flag"] for instance in instances], bool),
    )
    return results | dict(img_id=number)


@TRANSFORMS.register_module()
class OneColour(BaseTransform):
    """The same as a step that a config names."""

    def transform(self, results):
        return one_colour(results)


@TRANSFORMS.register_module()
class WithProcess(BaseTransform):
    """Adds the process that has made an image."""

    def transform(self, results):
        return results | dict(process=os.getpid())


#: Multi-image transforms without chance, apart from the partners.
MOSAIC = dict(
    type="imb_det.Mosaic", img_scale=(SIZE, SIZE), center_ratio_range=(1.0, 1.0)
)
MIX_UP = dict(type="imb_det.MixUp", img_scale=(SIZE, SIZE), ratio_range=(1.0, 1.0))


def partners_of(results, transform):
    """Tell from the pixels which images were mixed into one."""
    image, own = results["img"][..., 0].astype(int), results["img_id"]
    if transform is MIX_UP:  # the mean of both
        return [int(image[0, 0]) - own]
    middle = image[SIZE - 1 : SIZE + 1, SIZE - 1 : SIZE + 1] // 2
    assert middle[0, 0] == own
    return middle.ravel()[1:].tolist()


def check_shares(drawn, wanted):
    """Compare how often each number is drawn with its chance; never where that is 0."""
    wanted = np.asarray(wanted, float) / np.sum(wanted)
    counts, expected = np.bincount(drawn, minlength=len(wanted)), len(drawn) * wanted
    assert len(counts) == len(wanted)
    assert not counts[wanted == 0].any()
    # Six deviations of a Poisson distribution, and some where little is expected.
    assert (np.abs(counts - expected) <= 6 * np.sqrt(expected) + 4).all()


def wrapped(name, dataset, **kwargs):
    """Configure a wrapper of a data set, or of a list."""
    key = "datasets" if isinstance(dataset, list) else "dataset"
    return dict(type=name, **{key: dataset}, **kwargs)


def built(config):
    init_default_scope("mmdet")
    return DATASETS.build(config)


def loader_of(dataset, sampler, workers=2, **kwargs):
    """Build a data loader as mmengine does; batches are lists."""
    init_default_scope("mmdet")
    config = dict(batch_size=16, num_workers=workers, collate_fn=dict(type=list))
    config |= kwargs | dict(dataset=dataset, sampler=sampler)
    return Runner.build_dataloader(config, seed=0)
