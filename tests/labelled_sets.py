"""Data sets without image files, made from the classes of each image."""

from hypothesis import strategies as st
from mmengine.dataset import BaseDataset

from imb_det.registry import DATASETS


@DATASETS.register_module()
class LabelledDataset(BaseDataset):
    """One box for each label; a negative label -1 - c is an ignored box of class c."""

    def __init__(self, labels_per_image, num_classes, pipeline=(), **kwargs):
        self.labels_per_image = labels_per_image
        names = tuple(f"class_{i}" for i in range(num_classes))
        # Serialising collects garbage each time, which takes most of a property test.
        kwargs = {"serialize_data": False, **kwargs}
        super().__init__(metainfo=dict(classes=names), pipeline=pipeline, **kwargs)

    def load_data_list(self):
        return [
            dict(
                img_path=f"{i}.jpg",
                img_id=i,
                height=100,
                width=100,
                instances=[
                    dict(
                        bbox=[10.0, 10.0, 20.0 + k, 30.0],
                        bbox_label=label if label >= 0 else -1 - label,
                        ignore_flag=int(label < 0),
                    )
                    for k, label in enumerate(labels)
                ],
            )
            for i, labels in enumerate(self.labels_per_image)
        ]

    def get_cat_ids(self, idx):
        return [i["bbox_label"] for i in self.get_data_info(idx)["instances"]]


@st.composite
def label_sets(draw, max_images=25, max_classes=5, with_box=True):
    """Lists of labels: images without one, one class only and all rare included."""
    num_classes = draw(st.integers(1, max_classes))
    label = st.integers(0, num_classes - 1)
    sets = draw(st.lists(st.lists(label, max_size=4), min_size=1, max_size=max_images))
    if with_box and not any(sets):
        sets[0] = [draw(label)]
    return sets, num_classes


#: A tail of classes that share images, a class without a box, images without a label.
LONG_TAIL = [
    *[[0]] * 60,
    *[[0, 1]] * 12,
    *[[1, 1, 2]] * 4,
    *[[0, 3]] * 2,
    [4],
    *[[]] * 5,
]


def long_tail(**kwargs):
    return LabelledDataset(LONG_TAIL, 6, **kwargs)
