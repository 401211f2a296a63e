"""Keys that nobody reads are named, and variables of users are left alone."""

from pathlib import Path

import pytest
from mmengine.config import Config
from mmengine.utils import get_installed_path

from imb_det import cli
from imb_det.command_line.config_keys import misspelt_keys

OURS = Path(__file__).parents[2] / "configs"
MMDET = Path(get_installed_path("mmdet")) / ".mim" / "configs"


def named(cfg):
    return {found.where: found.evidence for found in misspelt_keys(cfg)}


@pytest.mark.parametrize(
    ("key", "meant"),
    [
        ("custom_hook", "custom_hooks"),
        ("val_evalutor", "val_evaluator"),
        ("val_evaluater", "val_evaluator"),
        ("train_dataloder", "train_dataloader"),
        ("tarin_cfg", "train_cfg"),
        ("optim_wraper", "optim_wrapper"),
        ("mmodel", "model"),
        ("param_schedulers", "param_scheduler"),
        ("Load_from", "load_from"),
        ("resumed", "resume"),
        ("auto_scale_lrs", "auto_scale_lr"),
        ("default_hook", "default_hooks"),
        ("env_cgf", "env_cfg"),
        ("randomnes", "randomness"),
        ("default_scop", "default_scope"),
        ("find_unused_parameter", "find_unused_parameters"),
        ("custom_import", "custom_imports"),
        ("vis_backend", "vis_backends"),
    ],
)
def test_the_nearest_key_is_named(tmp_path, key, meant):
    path = tmp_path / "config.py"
    value = True if meant in ("load_from", "resume", "default_scope") else dict(a=1)
    value = True if meant == "find_unused_parameters" else value
    path.write_text(f"model = dict(type='RetinaNet')\n{key} = {value}\n")
    expected = {f"`{key}`": f"the nearest that is read is `{meant}`"}
    if meant == "vis_backends":  # a variable that others refer to
        expected = {}
    if meant == "model":
        expected[f"`{key}`"] += "; `model` is set as well"
    assert named(Config.fromfile(path)) == expected


def test_keys_inside_default_hooks_and_of_mmdet_2(tmp_path):
    path = tmp_path / "config.py"
    path.write_text(
        "default_hooks = dict(checkpiont=dict(type='CheckpointHook'), mine=dict())\n"
        "env_cfg = dict(cudnn_benchmrk=True)\n"
        "resume_from = 'epoch_3.pth'\n"
    )
    found = misspelt_keys(Config.fromfile(path))
    assert [(each.where, each.severity.value) for each in found] == [
        ("`resume_from`", "warning"),
        ("`default_hooks.checkpiont`", "error"),
        ("`env_cfg.cudnn_benchmrk`", "error"),
    ]


@pytest.mark.parametrize(
    "lines",
    [
        "models = dict(type='A')\nmodel = models",
        "models = dict(type='A')\nmodel = dict(bbox_head=models)",
        "_models = 3\n_base_ = []",
        "model_ = 3\nmodel = dict(a='{{model_}}')",
        "train_pipeline = []\ntest_pipeline = []\nval_pipeline = []\nimg_scale = 3",
        "dataset_type = 'A'\ndata_root = ''\nbackend_args = None\nmax_epochs = 3",
        "default_hooks = dict(checkpoint2=dict(type='A'), logger_2=dict(type='B'))",
        "model2 = dict(a=1)\nval_evaluator_1 = [dict(a=1)]",
        # Such as are used, in a config that mmengine has written without the uses.
        "mode = 'train'\nmodels = 3\nval_cfgs = 'x'\nresumed = dict(a=1)",
        "max_iters = 3\nclasses = ()\nmetainfo = dict()\nnum_classes = 3\nloss = 2",
    ],
)
def test_variables_of_users_pass(tmp_path, lines):
    path = tmp_path / "config.py"
    path.write_text(lines)
    assert named(Config.fromfile(path)) == {}


def test_variables_that_imported_configs_use_pass(tmp_path):
    (tmp_path / "base.py").write_text("models = dict(a=1)\nmodel = dict(b=models)\n")
    path = tmp_path / "config.py"
    path.write_text(
        "from mmengine.config import read_base\nwith read_base():\n"
        "    from .base import *\ncustom_hook = [dict(a=2)]\n"
    )
    assert list(named(Config.fromfile(path))) == ["`custom_hook`"]


@pytest.mark.parametrize(
    "path",
    [
        *sorted(OURS.glob("*/*_bccd.py")),
        *(
            MMDET / name
            for name in (
                "yolox/yolox_s_8xb8-300e_coco.py",
                "rtmdet/rtmdet_tiny_8xb32-300e_coco.py",
                "soft_teacher/soft-teacher_faster-rcnn_r50-caffe_fpn_180k_semi-0.1-coco.py",
                "lvis/mask-rcnn_r50_fpn_sample1e-3_ms-2x_lvis-v0.5.py",
                "dino/dino-4scale_r50_8xb2-12e_coco.py",
                "clrnet/clrnet.py",
                "gn+ws/mask-rcnn_r50_fpn_gn-ws-all_2x_coco.py",
            )
            if (MMDET / name).is_file()
        ),
    ],
    ids=lambda path: path.stem,
)
def test_configs_that_are_in_use_pass(path):
    cfg = Config.fromfile(path, import_custom_modules=False)
    assert named(cfg) == {}
    # As a runner writes it to its work folder: with variables, but without their uses.
    written = Config(cfg.to_dict())
    assert named(written) == {}


def test_the_tools_stop_at_such_a_key(tmp_path):
    path = tmp_path / "config.py"
    path.write_text("model = dict(type='RetinaNet')")
    argv = [str(path), "--cfg-options", "custom_hook.0=3"]
    args = cli.parse_args(cli.make_parser("A tool"), argv)
    with pytest.raises(SystemExit, match="Write `custom_hooks`; a variable"):
        cli.load_config(args)
