"""Configs in the form of Python modules, which name classes by importing them."""

import mmcv.ops
import pytest
from mmdet.datasets import CocoDataset
from mmdet.models.losses.smooth_l1_loss import L1Loss
from mmengine.config import Config
from mmengine.registry import DATASETS, MODELS

from imb_det.doctor.config_reading import read_config
from imb_det.doctor.imported_types import path_of, with_paths
from imb_det.doctor.patch import patch_text, write_patch
from imb_det.doctor.prescription import Prescription

LAZY = """
from mmengine.config import read_base
{more}
from mmdet.models.losses.smooth_l1_loss import L1Loss
from mmcv.ops import RoIAlign, nms

with read_base():
    from .base import *

model = dict(loss=dict(type=L1Loss), layer=dict(type=RoIAlign), nms=dict(type=nms))
"""


def write_lazy(folder, more="", use=""):
    (folder / "base.py").write_text("train_cfg = dict(by_epoch=True)\n")
    path = folder / "lazy.py"
    path.write_text(LAZY.format(more=more) + use)
    return path


@pytest.mark.parametrize(
    ("kind", "registry"), [(L1Loss, MODELS), (CocoDataset, DATASETS)]
)
def test_classes_are_found_by_their_path(kind, registry):
    assert registry.get(path_of(kind)) is kind


@pytest.mark.parametrize("name", ["nms", "soft_nms", "RoIAlign"])
def test_operators_have_their_bare_name(name):
    assert path_of(getattr(mmcv.ops, name)) == name


def test_operators_that_a_registry_has_by_another_name_have_their_path():
    kind = mmcv.ops.ModulatedDeformConv2dPack  # registered as DCNv2
    assert MODELS.get(path_of(kind)) is kind


def test_what_is_prescribed_names_classes_that_can_be_built(tmp_path):
    config, found = read_config(write_lazy(tmp_path))
    assert not found
    chosen = Prescription((), (), {"model.new": [dict(type=L1Loss)]})
    write_patch(tmp_path / "out.py", chosen, config, str(tmp_path / "lazy.py"))
    patched = Config.fromfile(tmp_path / "out.py")
    assert patched.default_scope == "mmdet"  # as mmdet's own of this form have none
    model = patched.model
    assert isinstance(MODELS.build(model.loss), L1Loss)
    assert isinstance(MODELS.build(model.new[0]), L1Loss)
    assert (model.layer.type, model.nms.type) == ("RoIAlign", "nms")
    text = patch_text("base.py", {"a.b": dict(type=L1Loss)}, Config({}))
    assert path_of(L1Loss) in text


def test_what_is_imported_and_not_there_is_one_line(tmp_path):
    more = "from mmdet.models import NoSuchHead\n"
    path = write_lazy(tmp_path, more, "head = dict(inner=dict(type=NoSuchHead))\n")
    config, (found,) = read_config(path)
    assert config is None
    assert found.code == "config"
    assert "NoSuchHead" in found.evidence


def test_what_is_imported_and_not_used_is_forgotten(tmp_path):
    path = write_lazy(tmp_path, "from mmdet.models import NoSuchHead\n")
    config, found = read_config(path)
    assert not found
    assert "L1Loss" not in config
    assert config.model.loss.type is L1Loss


def test_other_values_stay():
    assert with_paths(dict(a=[1, ("b", L1Loss)])) == dict(a=[1, ("b", path_of(L1Loss))])
