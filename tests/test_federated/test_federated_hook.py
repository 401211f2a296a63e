"""A training by what an LVIS file has verified, and what is refused before it."""

import json

import numpy as np
import pytest
import torch
from mmdet.registry import DATASETS

from imb_det.federated import FederatedHook
from imb_det.runner_parts import context_of
from imb_det.statistics.coco_verified import verified_labels
from tests import toys
from tests.tiny_sets import write_lvis
from tests.toy_runner import BOTH_HOOKS, PIPELINE, lvis_config, make_runner

pytestmark = pytest.mark.usefixtures("one_thread")

HOOKS = (*BOTH_HOOKS, dict(type="imb_det.FederatedHook"))
LOSS = dict(type="imb_det.FederatedLoss", use_sigmoid=True, source="annotation")


def dataset(root, pipeline=PIPELINE, wrapped=False):
    found = lvis_config(root, pipeline=pipeline)
    if wrapped:
        found = dict(type="RepeatDataset", times=1, dataset=found)
        found = dict(type="ConcatDataset", datasets=[found])
    return found


def runner(tmp_path, data, hooks=HOOKS, loss=LOSS, head="RetinaHead"):
    model = toys.retinanet_config(2, head)
    model.bbox_head.loss_cls = loss
    return make_runner(
        tmp_path / "work",
        data,
        hooks=hooks,
        model=model,
        val_dataloader=None,
        val_cfg=None,
        val_evaluator=None,
    )


def test_verified_labels(tmp_path):
    root = write_lvis(tmp_path)
    found = verified_labels(root / "ann.json", ("dog", "cat"))
    assert {k: v.tolist() for k, v in found.items()} == {
        1: [0, 1],
        2: [0],
        3: [0, 1],
        4: [0, 1],
        5: [0, 1],
    }
    alone = verified_labels(root / "ann.json", ("cat",))
    assert [v.tolist() for v in alone.values()] == [[0], [], [0], [0], [0]]


@pytest.mark.parametrize("wrapped", [False, True], ids=["plain", "wrapped"])
def test_trains(tmp_path, wrapped):
    run = runner(tmp_path, dataset(write_lvis(tmp_path / "data"), wrapped=wrapped))
    loss = run.model.bbox_head.loss_cls
    seen = []

    def watch(module, args, value):
        gathered = module.images.verified(len(args[0]), 2)
        seen.append(gathered.table)

    loss.register_forward_hook(watch)
    run.train()
    rows = torch.cat(seen[::3])  # three levels each
    assert sorted(rows.tolist()) == [[0, 1], *[[1, 1]] * 4]
    assert all(np.isfinite(p.detach()).all() for p in run.model.parameters())
    assert not run.model._forward_pre_hooks
    assert loss.images.num_images == 0


def test_the_hook_is_asked_for_before_the_first_iteration(tmp_path):
    run = runner(tmp_path, dataset(write_lvis(tmp_path / "data")), hooks=BOTH_HOOKS)
    with pytest.raises(ValueError, match=r"type='imb_det.FederatedHook'"):
        run.train()
    assert run.iter == 0


@pytest.mark.parametrize("lists", [(), ("neg_category_ids",)])
def test_a_file_without_lists_is_named(tmp_path, lists):
    run = runner(tmp_path, dataset(write_lvis(tmp_path / "data", lists)))
    with pytest.raises(ValueError, match=r"ann.json: no image has .*not_exhaustive_c"):
        run.train()
    assert run.iter == 0


def test_ids_that_are_not_kept_and_mixed_images_are_named(tmp_path):
    root = write_lvis(tmp_path / "data")
    outer = [
        dict(type="imb_det.Mosaic", img_scale=(32, 32)),
        dict(type="Resize", scale=(48, 36)),
        dict(type="PackDetInputs", meta_keys=("img_shape",)),
    ]
    inner = dataset(root, pipeline=PIPELINE[:2])
    data = dict(type="MultiImageMixDataset", dataset=inner, pipeline=outer)
    run = runner(tmp_path, data)
    with pytest.raises(ValueError, match="before the first") as error:
        run.train()
    codes = {finding.code for finding in error.value.findings}
    assert codes == {"federated_mix", "federated_ids"}


def test_pipelines_to_come_are_looked_at_too(tmp_path):
    steps = [
        dict(type="CachedMosaic", img_scale=(32, 32)),
        dict(type="PackDetInputs", meta_keys=("img_shape",)),
    ]
    switch = dict(
        type="imb_det.PipelineSwitchHook", switch_epoch=1, switch_pipeline=steps
    )
    data = dataset(write_lvis(tmp_path / "data"))
    run = runner(tmp_path, data, hooks=(*HOOKS, switch))
    hook = next(hook for hook in run.hooks if isinstance(hook, FederatedHook))
    found = list(hook.findings(context_of(run, for_training=True)))
    assert {finding.code for finding in found} == {"federated_mix", "federated_ids"}
    assert all("PipelineSwitchHook" in finding.where for finding in found)


def test_an_id_of_two_images_is_named(tmp_path):
    roots = [write_lvis(tmp_path / name) for name in "ab"]
    both = [lvis_config(root, pipeline=PIPELINE) for root in roots]
    data = DATASETS.build(dict(type="ConcatDataset", datasets=both))
    # The same file twice, say with other pipelines, does no harm.
    assert len(FederatedHook()._read(data)) == 5
    path = roots[1] / "ann.json"
    content = json.loads(path.read_text())
    content["images"][0]["not_exhaustive_category_ids"] = [
        category["id"] for category in content["categories"]
    ]
    path.write_text(json.dumps(content))
    with pytest.raises(ValueError, match=r"b.ann.json: image 1 is in another file too"):
        FederatedHook()._read(data)


def test_a_hook_without_a_loss_says_so(tmp_path):
    loss = dict(type="imb_det.FocalLoss", use_sigmoid=True)
    root = write_lvis(tmp_path / "data")
    content = json.loads((root / "ann.json").read_text())
    for image in content["images"]:  # what no loss asks for is no fault of the file
        image.pop("neg_category_ids", None)
        image.pop("not_exhaustive_category_ids", None)
    (root / "ann.json").write_text(json.dumps(content))
    run = runner(tmp_path, dataset(root), loss=loss)
    with pytest.raises(
        ValueError, match=r"1 error\b[^$]*source='annotation'.*or take the hook out"
    ):
        run.train()
