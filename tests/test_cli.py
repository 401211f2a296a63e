"""Our tools/train.py and tools/test.py against mmdet's own, and on two CPU ranks."""

import logging
import os
import runpy
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from mmdet.structures import DetDataSample
from mmengine.config import Config
from mmengine.evaluator import BaseMetric, Evaluator
from mmengine.logging import HistoryBuffer, MMLogger
from mmengine.runner import CheckpointLoader, Runner
from mmengine.structures import InstanceData
from mmengine.utils import get_installed_path

from imb_det import cli
from imb_det.evaluation.saved_predictions import SavedPredictions

OURS = Path(__file__).parents[1] / "tools"
MMDET = Path(get_installed_path("mmdet")) / ".mim"
RETINANET = MMDET / "configs" / "retinanet" / "retinanet_r50_fpn_1x_coco.py"


@pytest.fixture
def start(monkeypatch, tmp_path):
    """Start a script with a runner that does nothing; return what it was given."""
    monkeypatch.chdir(tmp_path)  # where the work folders are

    def start(script, *argv):
        seen = SimpleNamespace(calls=[])

        def from_cfg(cfg):
            seen.cfg = cfg.to_dict()
            seen.metrics = []
            return SimpleNamespace(
                train=lambda: seen.calls.append("train"),
                test=lambda: seen.calls.append("test"),
                test_evaluator=SimpleNamespace(metrics=seen.metrics),
            )

        monkeypatch.setattr(Runner, "from_cfg", from_cfg)
        monkeypatch.setattr(sys, "argv", [str(script), *map(str, argv)])
        monkeypatch.delenv("LOCAL_RANK", raising=False)
        runpy.run_path(str(script), run_name="__main__")
        seen.local_rank = os.environ["LOCAL_RANK"]
        seen.metrics = [vars(metric) for metric in seen.metrics]
        return seen

    return start


def assert_same(start, script, *argv):
    ours = start(OURS / script, *argv)
    assert ours == start(MMDET / "tools" / script, *argv)
    assert ours.calls == [script.removesuffix(".py")]
    return ours.cfg


@pytest.fixture
def config(tmp_path):
    """Write a config that differs from mmdet's RetinaNet by the given lines."""

    def config(*lines):
        path = tmp_path / "my.config_1x.py"
        base = "_base_ = 'mmdet::retinanet/retinanet_r50_fpn_1x_coco.py'"
        path.write_text("\n".join([base, *lines]))
        return path

    return config


@pytest.mark.parametrize(
    ("argv", "expected"),
    [
        ([], {"work_dir": "./work_dirs/retinanet_r50_fpn_1x_coco", "launcher": "none"}),
        (["--work-dir", "there"], {"work_dir": "there"}),
        (["--amp"], {}),
        (["--auto-scale-lr"], {}),
        (["--resume"], {"resume": True, "load_from": None}),
        (["--resume", RETINANET], {"resume": True, "load_from": str(RETINANET)}),
        (["--resume", "https://x/y.pth"], {"load_from": "https://x/y.pth"}),
        (["--launcher", "slurm", "--local_rank", "3"], {"launcher": "slurm"}),
        (["--local-rank", "1"], {}),
        (["--cfg-options", "train_cfg.max_epochs=3", "a=[(1,2),(3,4)]"], {}),
        (["--cfg-options", "runner_type=Runner"], {"runner_type": "Runner"}),
    ],
)
def test_train_does_what_mmdet_does(start, argv, expected):
    cfg = assert_same(start, "train.py", RETINANET, *argv)
    assert expected.items() <= cfg.items()


def test_work_dir_of_the_command_line_then_the_config_then_the_name(start, config):
    assert assert_same(start, "train.py", config())["work_dir"] == (
        "./work_dirs/my.config_1x"
    )
    path = config("work_dir = 'mine'")
    assert assert_same(start, "train.py", path)["work_dir"] == "mine"
    cfg = assert_same(start, "train.py", path, "--work-dir", "there")
    assert cfg["work_dir"] == "there"


@pytest.mark.parametrize("setting", ["None", "dict(_delete_=True, enable=False)"])
def test_auto_scale_lr_needs_its_config(start, config, setting):
    path = config(f"auto_scale_lr = {setting}")
    with pytest.raises(RuntimeError, match="base_batch_size"):
        start(OURS / "train.py", path, "--auto-scale-lr")


@pytest.mark.parametrize(
    "argv",
    [
        [],
        ["--work-dir", "there"],
        ["--out", "predictions.pkl"],
        ["--show", "--wait-time", "0.5"],
        ["--show-dir", "painted"],
        ["--tta"],
        ["--cfg-options", "test_dataloader.batch_size=2"],
    ],
)
def test_test_does_what_mmdet_does(start, argv):
    cfg = assert_same(start, "test.py", RETINANET, RETINANET, *argv)
    assert cfg["load_from"] == str(RETINANET)


@pytest.mark.filterwarnings("ignore:Cannot find", "ignore:The config has no")
def test_default_test_time_augmentation_is_that_of_mmdet(start, tmp_path):
    plain = Config.fromfile(RETINANET)
    for name in ("tta_model", "tta_pipeline"):
        plain.pop(name)
    plain.dump(tmp_path / "plain.py")
    cfg = assert_same(start, "test.py", tmp_path / "plain.py", RETINANET, "--tta")
    assert cfg["model"]["type"] == "DetTTAModel"


def test_scope_is_mmdet_where_the_config_has_none(tmp_path, start):
    path = tmp_path / "bare.py"
    path.write_text("a = 1")
    assert start(OURS / "train.py", path).cfg["default_scope"] == "mmdet"
    path.write_text("default_scope = 'mmpose'")
    assert start(OURS / "train.py", path).cfg["default_scope"] == "mmpose"


@pytest.mark.parametrize(
    ("script", "argv", "line"),
    [
        ("train.py", ["no.py"], "config file 'no.py' does not exist"),
        ("train.py", [OURS], f"config file '{OURS}' is a folder"),
        ("train.py", [RETINANET, "--resume", "x"], "resume file 'x' does not exist"),
        ("test.py", [RETINANET, "x"], "checkpoint file 'x' does not exist"),
        ("test.py", [RETINANET, RETINANET, "--out", "x"], "--out must end in .npz"),
        (
            "test.py",
            [RETINANET, RETINANET, "--out", RETINANET / "x.npz"],
            f"--out '{RETINANET / 'x.npz'}' cannot be written: {RETINANET} is no fold",
        ),
        (
            "test.py",
            [RETINANET, RETINANET, "--out", "/dev/null/a/x.pkl"],
            "--out '/dev/null/a/x.pkl' cannot be written: /dev/null is no folder",
        ),
    ],
)
def test_one_line_for_a_wrong_path(start, capsys, script, argv, line):
    with pytest.raises(SystemExit) as stop:
        start(OURS / script, *argv)
    assert stop.value.code == 2
    (printed,) = capsys.readouterr().err.splitlines()
    assert printed.startswith(f"{script}: error: {line}")


def test_what_stands_in_the_way_of_a_training_is_one_line(start, tmp_path, monkeypatch):
    cut = tmp_path / "epoch_3.pth"
    torch.save({}, cut)
    cut.write_bytes(cut.read_bytes()[:-30])
    for argv in (["--resume", cut], ["--resume", "--work-dir", tmp_path]):
        with pytest.raises(SystemExit, match=r"^train\.py: error: .*3\.pth.* cut, or"):
            start(OURS / "train.py", RETINANET, *argv)

    def refuse(work_dir):
        raise BlockingIOError(f"{work_dir} is busy")

    where = "imb_det.command_line.work_dir_lock.lock_work_dir"
    monkeypatch.setattr(where, refuse)
    with pytest.raises(SystemExit, match=r"^train\.py: error: there is busy$"):
        start(OURS / "train.py", RETINANET, "--work-dir", "there")


@pytest.mark.parametrize(
    ("cuda", "launcher", "dist_cfg", "joined"),
    [
        (False, "pytorch", {"backend": "nccl"}, {"timeout": None}),
        (False, "pytorch", {"backend": "gloo", "timeout": 60}, {"timeout": 60}),
        (False, "pytorch", {"backend": "mpi"}, None),
        (False, "none", {"backend": "nccl"}, None),
        (True, "pytorch", {"backend": "nccl"}, None),
    ],
)
def test_gloo_group_only_where_nccl_cannot_work(
    monkeypatch, cuda, launcher, dist_cfg, joined
):
    calls = []

    def init_process_group(backend, timeout):
        calls.append((backend, timeout and timeout.total_seconds()))

    monkeypatch.setattr(torch.cuda, "is_available", lambda: cuda)
    monkeypatch.setattr(torch.distributed, "init_process_group", init_process_group)
    monkeypatch.setattr(Runner, "from_cfg", lambda cfg: "runner")
    cfg = Config(dict(launcher=launcher, env_cfg=dict(dist_cfg=dist_cfg)))
    assert cli.build_runner(cfg) == "runner"
    assert calls == ([] if joined is None else [("gloo", joined["timeout"])])
    assert ("model_wrapper_cfg" in cfg) == (joined is not None)


class Failing(BaseMetric):
    """A metric that comes to nothing once all images are done."""

    default_prefix = "failing"

    def process(self, data_batch, data_samples):
        self.results.append(1)

    def compute_metrics(self, results):
        raise ValueError("no figure")


def test_predictions_are_there_even_if_a_metric_fails(tmp_path):
    tool = runpy.run_path(str(OURS / "test.py"))
    out = tmp_path / "folder" / "found.npz"
    evaluator = Evaluator([Failing()])
    evaluator.dataset_meta = dict(classes=("cat", "dog", "emu"))
    tool["keep_predictions"](evaluator, str(out))
    samples = [DetDataSample(metainfo=dict(img_id=3, ori_shape=(4, 5)))]
    samples[0].pred_instances = InstanceData(
        bboxes=torch.ones(2, 4), scores=torch.ones(2), labels=torch.tensor([2, 0])
    )
    evaluator.process(samples, {})
    with pytest.raises(ValueError, match="no figure"):
        evaluator.evaluate(1)
    saved = SavedPredictions.load(out)
    assert saved.classes == ("cat", "dog", "emu")
    assert saved.labels.tolist() == [2, 0]


def load_checkpoint(path):
    """Load as a training does; return what comes out and the warnings."""
    warned = []
    logger = MMLogger.get_current_instance()
    handler = logging.Handler(logging.WARNING)
    handler.emit = lambda record: warned.append(record.getMessage())
    logger.addHandler(handler)
    try:
        return CheckpointLoader.load_checkpoint(str(path), map_location="cpu"), warned
    finally:
        logger.removeHandler(handler)


def run_code(path):
    """Make an object that makes a file when it is unpickled."""
    return type("Canary", (), {"__reduce__": lambda self: (open, (str(path), "w"))})()


def attribute_of_history():
    """Make an object by which all that Python has could be reached."""
    reach = (getattr, (HistoryBuffer, "__init__"))
    return type("Reach", (), {"__reduce__": lambda self: reach})()


def test_checkpoints_run_nothing_where_weights_suffice(tmp_path):
    history = HistoryBuffer()
    history.update(2.5)
    content = dict(
        state_dict={"weight": torch.ones(2)},
        meta=dict(
            dataset_meta=dict(palette=np.arange(3)), cfg="a = 1", seed=np.int64(3)
        ),
        message_hub=dict(log_scalars=[history]),
        optimizer=dict(state={0: torch.ones(2)}, param_groups=[dict(lr=0.1)]),
        more=[np.float32(1.5), slice(1, 2), np.array(["name"]), None, {1, 2}],
    )
    path = tmp_path / "epoch_1.pth"
    torch.save(content, path)
    loaded, warned = load_checkpoint(path)
    assert not warned
    assert loaded["message_hub"]["log_scalars"][0].mean() == 2.5
    assert loaded["meta"]["dataset_meta"]["palette"].tolist() == [0, 1, 2]
    assert (loaded["meta"]["seed"], loaded["more"][0]) == (3, 1.5)
    canary = tmp_path / "canary"
    for bad, name in (
        (run_code(canary), "io.open"),
        (attribute_of_history(), "attribute '__init__'"),
    ):
        path = tmp_path / f"bad {name}.pth"
        torch.save({**content, "bad": bad}, path)
        _, warned = load_checkpoint(path)
        (text,) = warned
        assert f"{path} holds more than weights" in text
        reason = text.partition(" plain values (")[2]
        assert name in reason
        assert "allow" not in reason
    assert canary.exists()  # as the warning said


@pytest.mark.parametrize("content", [b"", b"<html>log in</html>", "cut", "cut pickle"])
def test_checkpoints_that_are_cut_are_named(tmp_path, content):
    path = tmp_path / "cut.pth"
    if isinstance(content, str):
        torch.save(
            {"state_dict": {"a": torch.zeros(99)}},
            path,
            _use_new_zipfile_serialization=content == "cut",
        )
        content = path.read_bytes()[:300]
    path.write_bytes(content)
    with pytest.raises(ValueError, match=r"cut\.pth is no checkpoint, or is cut sho"):
        load_checkpoint(path)


def test_downloaded_checkpoints_too(tmp_path, monkeypatch):
    canary = tmp_path / "canary"
    asked = []

    def download(url, weights_only, **arguments):
        asked.append((url, weights_only))
        return torch.load(tmp_path / "bad.pth", weights_only=weights_only)

    monkeypatch.setattr("imb_det.checkpoint_files.load_state_dict_from_url", download)
    torch.save({"state_dict": {}}, tmp_path / "bad.pth")
    url = "https://host/bad.pth"
    assert load_checkpoint(url) == ({"state_dict": {}}, [])
    assert asked == [(url, True)]
    torch.save({"bad": run_code(canary)}, tmp_path / "bad.pth")
    _, (text,) = load_checkpoint(url)
    assert f"{url} holds more than weights" in text


def test_checkpoints_with_a_log_history_load(tmp_path):
    history = HistoryBuffer()
    history.update(2.5)
    path = tmp_path / "epoch_1.pth"
    torch.save({"state_dict": {}, "message_hub": {"log_scalars": [history]}}, path)
    loaded = CheckpointLoader.load_checkpoint(str(path), map_location="cpu")
    assert loaded["message_hub"]["log_scalars"][0].current() == 2.5
    with pytest.raises(FileNotFoundError, match=r"none\.pth"):
        CheckpointLoader.load_checkpoint(str(tmp_path / "none.pth"))


TOY = """
import torch
from mmengine.dist import get_rank, get_world_size
from mmengine.hooks import Hook
from mmengine.model import BaseModel
from mmengine.registry import DATASETS, HOOKS, MODELS

@MODELS.register_module()
class Toy(BaseModel):
    def __init__(self):
        super().__init__()
        self.layer = torch.nn.Linear(1, 1)

    def forward(self, inputs, mode):
        return dict(loss=((self.layer(inputs) - 3 * inputs) ** 2).mean())

@DATASETS.register_module()
class Numbers(torch.utils.data.Dataset):
    def __len__(self):
        return 8

    def __getitem__(self, index):
        return dict(inputs=torch.tensor([float(index)]))

@HOOKS.register_module()
class Keep(Hook):
    def __init__(self, folder, note):
        self.folder, self.note = folder, note

    def after_train(self, runner):
        weight = runner.model.module.layer.weight.item()
        text = f"{get_world_size()} {torch.distributed.get_backend()} {weight!r}"
        with open(f"{self.folder}/rank{get_rank()}", "w") as file:
            file.write(f"{text} {self.note}")
"""

TOY_CONFIG = """
custom_imports = dict(imports=['toy_of_two_ranks'], allow_failed_imports=False)
default_scope = 'mmengine'
model = dict(type='Toy')
train_dataloader = dict(
    batch_size=2, num_workers=0, dataset=dict(type='Numbers'),
    sampler=dict(type='DefaultSampler', shuffle=True),
    collate_fn=dict(type='default_collate'),
)
train_cfg = dict(by_epoch=True, max_epochs=2)
optim_wrapper = dict(optimizer=dict(type='SGD', lr=0.01))
custom_hooks = [dict(type='Keep', folder={folder!r}, note='from the file')]
randomness = dict(seed=0)
"""


@pytest.mark.dist
@pytest.mark.skipif(torch.cuda.is_available(), reason="the ranks would use CUDA")
@pytest.mark.parametrize("ranks", [1, pytest.param(2, marks=pytest.mark.weekly)])
def test_dist_train_on_cpu_ranks(tmp_path, ranks):
    (tmp_path / "toy_of_two_ranks.py").write_text(TOY)
    config = tmp_path / "a config.py"
    config.write_text(TOY_CONFIG.format(folder=str(tmp_path)))
    work_dir = tmp_path / "work dir"
    command = ["bash", OURS / "dist_train.sh", config, ranks, "--work-dir", work_dir]
    command += ["--cfg-options", "custom_hooks.0.note=changed"]
    env = {**os.environ, "PYTHON": sys.executable, "PYTHONPATH": str(tmp_path)}
    env["PORT"] = str(20000 + os.getpid() % 20000)
    done = subprocess.run(
        list(map(str, command)), env=env, capture_output=True, text=True, timeout=300
    )
    assert done.returncode == 0, done.stderr
    assert "gloo in place of nccl" in done.stdout + done.stderr
    first, *others = ((tmp_path / f"rank{i}").read_text() for i in range(ranks))
    assert others == [first] * (ranks - 1)
    assert first.startswith(f"{ranks} gloo ")
    assert first.endswith(" changed")
    assert (work_dir / "last_checkpoint").is_file()
