"""The index of an annotation file that mmdet's classes look entries up in."""

from __future__ import annotations

from mmdet.datasets.api_wrappers import COCO

from imb_det.statistics.coco_content import CocoContent

__all__ = ["index_of"]


def index_of(file: CocoContent) -> COCO:
    """Return mmdet's index of a file that has been read."""
    index = COCO()
    index.dataset = file.content
    index.createIndex()
    index.img_ann_map, index.cat_img_map = index.imgToAnns, index.catToImgs
    return index
