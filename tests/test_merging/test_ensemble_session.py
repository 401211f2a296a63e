"""Checkpoints that are put together, from the tool to a prediction."""

import pytest
import torch
from mmdet.apis import DetInferencer, inference_detector, init_detector
from mmengine.config import Config

from imb_det.merging.ensemble_session import EnsembleSession
from tests import toys
from tests.processes import run_tool
from tests.two_stages import config_of, figures_of, write_weights


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    root = tmp_path_factory.mktemp("ensemble")
    toys.write_coco(root, num_images=4)
    config = config_of(root)
    metric = dict(type="imb_det.CocoMetric", ann_file=str(root / "ann.json"))
    config.update(
        test_evaluator=dict(metric, metric="bbox"),
        test_cfg=dict(type="TestLoop"),
        work_dir=str(root / "work"),
        visualizer=dict(type="DetLocalVisualizer"),
    )
    config.dump(root / "toy.py")
    for seed, name in enumerate("ab"):
        write_weights(config, root / f"{name}.pth", seed)
    write_weights(config, root / "other.pth", classes=("ant", "cat", "bee"))
    return root, config


def test_what_is_written_predicts(folder):
    """The same checkpoint twice, as that one."""
    root, config = folder
    file, image = root / "a.pth", str(root / "img" / "0.png")
    session = EnsembleSession(config, [file, file], root / "same")
    written = session.write(root / "toy.py")
    made = init_detector(*map(str, written), device="cpu")
    single = init_detector(str(root / "toy.py"), str(file), device="cpu")
    found, wanted = (
        inference_detector(model, image).pred_instances for model in (made, single)
    )
    assert len(found) > 5
    assert torch.equal(found.scores, wanted.scores)
    assert torch.equal(found.bboxes, wanted.bboxes)
    assert made.dataset_meta["classes"] == toys.CLASSES


@pytest.mark.weekly
def test_from_the_tool_to_predictions(folder):
    """Table, config and checkpoint; the same boxes in all ways to predict."""
    root, _ = folder
    files = [str(root / f"{name}.pth") for name in ("a", "a", "a")]
    out = root / "out"
    options = ["--out", str(out), "--cfg-options", "model.test_cfg.rcnn.max_per_img=5"]
    done = run_tool("ensemble_checkpoints.py", root / "toy.py", *files, *options)
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    rows = [line.split() for line in lines if line.startswith(("a.pth", "ensemble"))]
    assert len(rows) == 4
    assert {tuple(row[1:]) for row in rows[:3]} == {tuple(rows[3][3:])}
    image = str(root / "img" / "0.png")
    single = init_detector(str(root / "toy.py"), files[0], device="cpu")
    single.roi_head.test_cfg.max_per_img = 5
    wanted = inference_detector(single, image).pred_instances
    made = init_detector(
        str(out / "ensemble.py"), str(out / "ensemble.pth"), device="cpu"
    )
    assert made.dataset_meta["classes"] == toys.CLASSES
    found = inference_detector(made, image).pred_instances
    assert len(found) == 5
    assert torch.equal(found.scores, wanted.scores)
    assert torch.equal(found.bboxes, wanted.bboxes)
    weights = str(out / "ensemble.pth")
    (inferred,) = DetInferencer(weights=weights, device="cpu")(image)["predictions"]
    assert inferred["scores"] == pytest.approx(wanted.scores.tolist())
    figures = figures_of(out / "ensemble.py", weights)
    assert figures["coco/bbox_mAP"] == pytest.approx(float(rows[0][1]), abs=1e-3)
    assert figures == figures_of(root / "toy.py", files[0], max_per_img=5)


def test_members_of_other_configs(folder):
    root, config = folder
    other = config_of(root, reg_class_agnostic=True)
    other.custom_imports = dict(imports="json.tool")
    write_weights(other, root / "agnostic.pth", 2)
    files = [root / "a.pth", root / "agnostic.pth"]
    session = EnsembleSession(config, files, root / "two", [other])
    session.write(root / "toy.py")
    made = init_detector(
        str(root / "two/ensemble.py"), str(root / "two/ensemble.pth"), device="cpu"
    )
    imports = Config.fromfile(root / "two/ensemble.py").custom_imports.imports
    assert imports == ["json.tool", "imb_det"]
    assert "custom_imports" not in config
    assert made.members[1].roi_head.bbox_head.reg_class_agnostic
    for number, file in enumerate(files):
        own = torch.load(file)["state_dict"]
        state = made.members[number].state_dict()
        assert all(torch.equal(state[name], own[name]) for name in own)
    with pytest.raises(ValueError, match="does not fit the config: size mismatch"):
        EnsembleSession(config, files, root / "two")


def test_checkpoints_that_do_not_belong_together(folder, capsys):
    root, config = folder
    a, other = root / "a.pth", root / "other.pth"
    for files, configs, match in (
        ([a], None, "at least two"),
        ([a, a], [config, config], "`--configs` must be those of all 2"),
        ([a, other], None, r"other.pth is of other classes .* in another order"),
    ):
        with pytest.raises(ValueError, match=match):
            EnsembleSession(config, files, root / "no", configs)
    write_weights(config, root / "named.pth", classes=("ant", "bee", "dog"))
    with pytest.raises(ValueError, match=r"other classes .*: 'cat'"):
        EnsembleSession(config, [a, root / "named.pth"], root / "no")
    content = torch.load(a)
    del content["meta"]
    torch.save(content, root / "unnamed.pth")
    with pytest.raises(ValueError, match=r"named.pth is of other classes"):
        EnsembleSession(
            config, [root / "unnamed.pth", a, root / "named.pth"], root / "no"
        )
    assert "unnamed.pth tells no classes" in capsys.readouterr().out
    content["state_dict"]["calibration.kinds"] = torch.tensor([1])
    torch.save(content, root / "calibrated.pth")
    with pytest.raises(ValueError, match="of a detector with calibrators"):
        EnsembleSession(config, [a, root / "calibrated.pth"], root / "no")
