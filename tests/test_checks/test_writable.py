"""Where nothing can be written is found before anything is computed."""

import os

import pytest
from mmdet.engine.hooks import DetVisualizationHook
from mmdet.visualization import DetLocalVisualizer
from mmengine.hooks import CheckpointHook, LoggerHook

from imb_det.checks import check_writable
from imb_det.checks.writable import obstacle
from imb_det.core import CheckContext
from imb_det.registry import METRICS


def found_by(metric=None, *hooks, split="val"):
    metrics = {split: [] if metric is None else [METRICS.build(metric)]}
    context = CheckContext(datasets=dict(train=0), metrics=metrics, hooks=hooks)
    return [(f.code, f.where, f.evidence) for f in check_writable(context)]


@pytest.mark.parametrize(
    ("metric", "argument"),
    [
        (dict(type="imb_det.VOCMetric", table_dir="{}/tables"), "table_dir"),
        (dict(type="CocoMetric", outfile_prefix="{}/new/out"), "outfile_prefix"),
        (dict(type="DumpDetResults", out_file_path="{}/a.pkl"), "out_file_path"),
    ],
    ids=["tables", "prefix", "results"],
)
def test_places_of_metrics(tmp_path, metric, argument):
    place = metric[argument].format(tmp_path / "there")
    metric = {**metric, argument: place}
    assert found_by(metric) == []
    assert not (tmp_path / "there").exists()  # nothing is made
    (tmp_path / "there").touch()
    ((code, where, evidence),) = found_by(metric, split="test")
    name = metric["type"].split(".")[-1]
    assert (code, where) == ("unwritable", f"{name} of test, `{argument}`")
    assert evidence == f"{place}: {tmp_path}/there is no folder"


def test_result_files(tmp_path, monkeypatch):
    path = tmp_path / "a.pkl"
    metric = dict(type="DumpDetResults", out_file_path=str(path))
    path.touch()
    assert found_by(metric) == []
    monkeypatch.setattr(os, "access", lambda place, mode: place != path)
    ((_, _, evidence),) = found_by(metric)
    assert evidence == f"{path}: there is no right to write to {path}"
    path.unlink()
    path.mkdir()
    ((_, _, evidence),) = found_by(metric)
    assert evidence == f"{path}: {path} is a folder"


def test_places_of_hooks(tmp_path):
    DetLocalVisualizer.get_instance("places")  # which the hooks ask for
    (tmp_path / "file").touch()
    place = str(tmp_path / "file" / "out")
    hooks = [
        CheckpointHook(out_dir=place),
        LoggerHook(out_dir=place),
        DetVisualizationHook(draw=True, test_out_dir=place),
        DetVisualizationHook(draw=False, test_out_dir=place),
        CheckpointHook(out_dir="s3://bucket/out"),
        CheckpointHook(),
        DetVisualizationHook(draw=True),
    ]
    assert [(where, evidence) for _, where, evidence in found_by(None, *hooks)] == [
        (f"{owner}, `{argument}`", f"{place}: {tmp_path}/file is no folder")
        for owner, argument in (
            ("CheckpointHook", "out_dir"),
            ("LoggerHook", "out_dir"),
            ("DetVisualizationHook", "test_out_dir"),
        )
    ]


def test_folders_that_can_be_made_are_no_obstacle(tmp_path, monkeypatch):
    assert obstacle(tmp_path / "a" / "b") == ""
    assert not (tmp_path / "a").exists()
    monkeypatch.setattr(os, "access", lambda path, mode: path != tmp_path)
    assert obstacle(tmp_path / "a") == f"there is no right to write to {tmp_path}"
