"""Heads of queries of MMDetection, run as their detectors run them.

A step has two images, decoder layers with queries that are matched, and, in heads that
have them, proposals of the encoder and denoising queries.
"""

import torch
from mmdet.structures import DetDataSample
from mmengine.config import ConfigDict
from mmengine.structures import InstanceData

from tests.toys import MODELS

from .cases import NUM_CLASSES
from .mmdet_heads import ready

LAYERS, IMAGES, QUERIES, DIM, ENCODED = 3, 2, 7, 8, 9
#: Two groups of denoising queries: two objects as they are, and as background.
NOISE = dict(num_denoising_queries=8, num_denoising_groups=2, num_dense_queries=4)
#: Of DDQ, which queries of both images are distinct.
DISTINCT = torch.arange(QUERIES) < torch.tensor([[5], [6]])
KINDS = (
    "DETRHead",
    "ConditionalDETRHead",
    "DABDETRHead",
    "DeformableDETRHead",
    "DINOHead",
    "DDQDETRHead",
)
DENOISING = ("DINOHead", "DDQDETRHead")


def build(kind, loss, scope="mmdet", **more):
    """A head that is ready to train."""
    config = dict(num_classes=NUM_CLASSES, embed_dims=DIM, loss_cls=loss, **more)
    if kind in ("DeformableDETRHead", *DENOISING):
        config["num_pred_layer"] = LAYERS + (kind != "DeformableDETRHead")
    head = MODELS.build(ConfigDict(type=f"{scope}.{kind}", **config))
    if kind == "DDQDETRHead":
        # Two heads of attention for each image.
        masks = DISTINCT.repeat_interleave(2, 0)[:, None].expand(-1, QUERIES, -1)
        head.cache_dict = dict(
            num_dense_queries=4, num_heads=2, distinct_query_mask=[masks] * LAYERS
        )
    return ready(head)


def samples(shift=0):
    """Two images, with objects of the classes 0 and 2, and of class 1."""
    found = []
    for boxes, labels in (
        ([[4, 6, 40, 30], [20, 20, 60, 60]], [0, 2]),
        ([[8, 8, 30, 34]], [1]),
    ):
        sample = DetDataSample(metainfo=dict(img_shape=(64, 64)))
        labels = (torch.tensor(labels) + shift) % NUM_CLASSES
        boxes = torch.tensor(boxes).float()
        sample.gt_instances = InstanceData(bboxes=boxes, labels=labels)
        found.append(sample)
    return found


def inputs(kind, seed=0, images=slice(None)):
    """What the transformer hands over: states of all layers, and points they are at."""
    generator = torch.Generator().manual_seed(seed)

    def rand(*shape):
        return torch.rand(shape, generator=generator)

    size = QUERIES
    if kind in DENOISING:
        size += NOISE["num_denoising_queries"]
    if kind == "DDQDETRHead":
        size += NOISE["num_dense_queries"]
    states = (4 * rand(LAYERS, IMAGES, size, DIM) - 2)[:, images]
    if kind == "DETRHead":
        return [states]
    if kind == "ConditionalDETRHead":
        return [states, rand(IMAGES, size, 2)[images]]
    if kind == "DABDETRHead":
        return [states, rand(LAYERS, IMAGES, size, 4)[:, images]]
    return [states, [rand(IMAGES, size, 4)[images] for _ in range(LAYERS + 1)]]


def losses_of(kind, head, seed=0, batch=None, images=slice(None)):
    """Losses of a step with all images or some."""
    generator = torch.Generator().manual_seed(seed)
    given = inputs(kind, seed, images)
    batch = (samples() if batch is None else batch)[images]
    if kind in ("DeformableDETRHead", *DENOISING):
        shape = (IMAGES, ENCODED)
        of_encoder = [
            torch.randn(*shape, head.cls_out_channels, generator=generator)[images],
            torch.rand(*shape, 4, generator=generator)[images],
        ]
        of_encoder[0].requires_grad_()
        given += of_encoder if kind in DENOISING else [None, None]
    if kind not in DENOISING:
        return head.loss(*given, batch)
    dense = [part.clone() for part in of_encoder] if kind == "DDQDETRHead" else []
    return head.loss(*given, batch, NOISE, *dense)
