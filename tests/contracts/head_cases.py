"""Every head of the library, small, with images, through its own layers.

A new head needs a case in ``tests/test_heads/guided_cases.py``: its smallest config,
and how its losses are asked for; one of several experts has it here.
"""

import torch
from mmdet.models.dense_heads import DETRHead, MaskFormerHead
from mmengine.config import ConfigDict

from imb_det.registry import MODELS
from tests.test_heads import guided_cases
from tests.test_heads.guided_cases import SIZE, STRIDES, BoxCase, draw

from .registered import registered

__all__ = ["CASES", "NAMES", "features", "outputs", "predict", "registered_heads"]

_EXPERTS = dict(
    loss_cls=None,
    losses=[
        dict(type="imb_det.CrossEntropyLoss"),
        dict(type="imb_det.CrossEntropyLoss", class_weight=[1.0, 2.0, 3.0, 1.0]),
    ],
)


class ExpertCase(BoxCase):
    """A box head with several classifiers; mmdet's has one, whose rows are fewer."""

    prefix = "MultiExpert"

    def build(self, type_=None, **settings):
        plain = (type_ or "").startswith("mmdet.")
        changes = {} if plain else _EXPERTS
        return super().build(type_ or f"imb_det.{self.kind}", **{**changes, **settings})


_KINDS = ("Shared2FCBBoxHead", "Shared4Conv1FCBBoxHead", "ConvFCBBoxHead")
CASES = {
    **guided_cases.CASES,
    **{
        f"MultiExpert{kind}": ExpertCase(
            f"MultiExpert{kind}", guided_cases.CASES[kind].config
        )
        for kind in _KINDS
    },
}

#: Images of a step: with two objects, with one, and without.
NAMES = ("two", "one", "empty")
NMS = dict(type="nms", iou_threshold=0.5)
META = dict(img_shape=(SIZE, SIZE), pad_shape=(SIZE, SIZE), scale_factor=(1.0, 1.0))


def registered_heads():
    """All heads of the library that have layers of maps or RoIs, by name.

    Heads of queries are in ``tests/test_heads``.
    """
    rooms = ("losses", "layers", "backbones", "calibration", "merging")
    others = {k for room in rooms for k in registered(MODELS, room)}
    return {
        k: cls
        for k, cls in registered(MODELS).items()
        if k not in others and not issubclass(cls, (DETRHead, MaskFormerHead))
    }


def features(case, names=NAMES):
    """What the neck, or the RoI extractor, hands to the head; it needs gradients."""
    if isinstance(case, BoxCase):
        parts = [draw(name, case.rois_per_image, 8, 2, 2) for name in names]
        maps = [torch.cat(parts)]
    else:
        sides = [SIZE // stride for stride in STRIDES]
        maps = [torch.stack([draw(n, 8, side, side) for n in names]) for side in sides]
    return [x.float().requires_grad_() for x in maps]


def outputs(case, head, maps):
    """The head's layers on features, in the form of ``case.inputs``."""
    if isinstance(case, BoxCase):
        scores, boxes = head(*maps)
        return [[scores], [boxes]]
    return head(tuple(maps))


def predict(case, head, names=NAMES):
    """Boxes, scores and labels of each image, by the head's own prediction."""
    with torch.no_grad():
        maps = features(case, names)
        found = outputs(case, head, maps)
        metas = [META] * len(names)
        if not isinstance(case, BoxCase):
            cfg = dict(nms_pre=50, min_bbox_size=0, score_thr=0.0, nms=NMS)
            cfg = ConfigDict(**cfg, max_per_img=20)
            return head.predict_by_feat(*found, batch_img_metas=metas, cfg=cfg)
        (scores,), (boxes,) = found
        number = case.rois_per_image
        rois = case.targets(names)[0].split(number)
        cfg = ConfigDict(score_thr=0.0, nms=NMS, max_per_img=20)
        return head.predict_by_feat(
            rois, scores.split(number), boxes.split(number), metas, rcnn_test_cfg=cfg
        )
