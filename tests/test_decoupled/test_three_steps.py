"""The three steps of SimLTD, from one checkpoint to the next."""

import pytest
import torch
from mmengine.config import Config
from mmengine.registry import MODELS

from imb_det.decoupled.expansion import expand
from tests import toys

STEPS = ("head", "tail", "joint")


@pytest.fixture(scope="module")
def configs(repo_root):
    folder = repo_root / "configs" / "decoupled"
    found = {}
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(repo_root)
        for step in STEPS:
            name = f"faster-rcnn_lite0_fpn_simltd-{step}_boards-lt.py"
            found[step] = Config.fromfile(folder / name)
            loader = found[step].train_dataloader
            loader.dataset.data_root = str(repo_root / loader.dataset.data_root)
    return found


def write(config, path, seed):
    torch.manual_seed(seed)
    model = MODELS.build(config.model)
    classes = tuple(config.train_dataloader.dataset.metainfo.classes)
    with torch.no_grad():
        model.roi_head.bbox_head.fc_cls.weight.normal_()
    state = model.state_dict()
    torch.save(
        dict(state_dict=state, meta=dict(dataset_meta={"classes": classes})), path
    )
    return path, state, classes


def test_classes_are_those_of_more_than_five_images_and_the_others(configs):
    classes = {
        step: list(configs[step].train_dataloader.dataset.metainfo.classes)
        for step in STEPS
    }
    assert sorted(classes["head"] + classes["tail"]) == sorted(classes["joint"])
    dataset = toys.build_dataset(configs["joint"].train_dataloader.dataset)
    counts = dict.fromkeys(classes["joint"], 0)
    for i in range(len(dataset)):
        labels = {b["bbox_label"] for b in dataset.get_data_info(i)["instances"]}
        for label in labels:
            counts[classes["joint"][label]] += 1
    assert min(counts[name] for name in classes["head"]) > 5
    assert max(counts[name] for name in classes["tail"]) <= 5


@pytest.mark.weekly
def test_each_step_starts_from_what_came_before(configs, tmp_path):
    head, first, head_classes = write(configs["head"], tmp_path / "head.pth", 0)
    out = tmp_path / "tail-start.pth"
    lines = expand(configs["tail"], head, out, "keep")
    assert "classes known by name: none" in "\n".join(lines)
    start = torch.load(out)["state_dict"]
    row = "roi_head.bbox_head.fc_cls.weight"
    for name, value in start.items():
        if "fc_cls" not in name:
            assert torch.equal(value, first[name]), name
    assert torch.equal(start[row][-1], first[row][-1])  # of background
    tail, second, tail_classes = write(configs["tail"], tmp_path / "tail.pth", 1)
    out = tmp_path / "joint-start.pth"
    lines = "\n".join(expand(configs["joint"], head, out, more=[tail]))
    assert "new classes, with the mean of the others: none" in lines
    last = torch.load(out)["state_dict"]
    every = tuple(configs["joint"].train_dataloader.dataset.metainfo.classes)
    for part in (row, row.replace("weight", "bias")):
        for label, name in enumerate(every):
            if name in head_classes:
                wanted = first[part][head_classes.index(name)]
            else:
                wanted = second[part][tail_classes.index(name)]
            assert torch.equal(last[part][label], wanted)
        assert torch.equal(last[part][-1], first[part][-1])
    for name, value in last.items():
        if "fc_cls" not in name:
            assert torch.equal(value, first[name]), name
    with pytest.raises(ValueError, match="knows no class that those before"):
        expand(configs["head"], head, out, more=[head])
