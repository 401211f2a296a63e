"""What is prescribed to whom, and that it can be trained as it is."""

import pytest
from mmengine.config import Config

from imb_det.core.finding import Severity
from imb_det.doctor.examination import diagnose
from imb_det.doctor.patch import write_patch
from imb_det.doctor.prescription import Prescription
from imb_det.experiments.guide import GUIDE
from tests.test_doctor.configs import write_config

pytestmark = pytest.mark.usefixtures("one_thread")

SAMPLER = """
train_dataloader["sampler"] = dict(
    _delete_=True, type="imb_det.RepeatFactorSampler", repeat_thr="auto"
)
custom_imports = dict(imports=["imb_det"], allow_failed_imports=False)
"""
DOUBLE = """
model["roi_head"]["bbox_head"] = dict(
    _delete_=True,
    type="DoubleConvFCBBoxHead",
    num_convs=1,
    num_fcs=1,
    in_channels=256,
    conv_out_channels=8,
    fc_out_channels=8,
    roi_feat_size=7,
    num_classes=3,
    loss_cls=dict(type="CrossEntropyLoss", use_sigmoid=False),
)
"""


def seen(config, out=None):
    diagnosis, _ = diagnose(str(config), look_at_images=False, out=out)
    assert not diagnosis.fails(Severity.ERROR), diagnosis.text()
    return diagnosis


def prescribed(config, out=None):
    return [advice.method for advice in seen(config, out).prescription.advice]


def test_a_tail_gets_a_sampler_and_a_classifier_that_fit_a_config_of_mmdet(tmp_path):
    config = write_config(tmp_path, more="custom_hooks = [dict(type='EMAHook')]\n")
    diagnosis = seen(config, tmp_path / "out")
    assert [a.method for a in diagnosis.prescription.advice] == ["rfs_cosine"]
    assert "APr +0.0" in diagnosis.prescription.reasons[0]
    patched = Config.fromfile(diagnosis.patch)
    assert patched.train_dataloader.sampler == dict(
        type="imb_det.RepeatFactorSampler", repeat_thr="auto", num_samples="dataset"
    )
    head = patched.model.roi_head.bbox_head
    assert head.cls_predictor_cfg == dict(type="imb_det.NormedLinear", temperature=20)
    assert head.type == "Shared2FCBBoxHead"  # the rest stays
    kinds = [hook.type for hook in patched.custom_hooks]
    assert kinds == ["EMAHook", "imb_det.ImbalanceHook"]
    assert patched.custom_imports.imports == ["imb_det"]
    assert patched.val_evaluator.type == "imb_det.CocoMetric"
    # It is right as it is, and nothing more is needed.
    again = seen(diagnosis.patch)
    assert again.prescription.advice == ()


def test_what_is_prescribed_no_longer_goes_away(tmp_path):
    out = tmp_path / "out"
    assert seen(write_config(tmp_path / "tail"), out).patch is not None
    even = dict.fromkeys(["bee", "wasp", "fly"], 4)
    diagnosis = seen(write_config(tmp_path / "even", even), out)
    assert diagnosis.patch is None
    assert not (out / "prescription.py").exists()
    assert "nothing needed" in diagnosis.text()


def test_a_file_of_somebody_else_stays(tmp_path):
    (tmp_path / "out").mkdir()
    file = tmp_path / "out" / "prescription.py"
    file.write_text("mine = 1\n")
    even = dict.fromkeys(["bee", "wasp", "fly"], 4)
    seen(write_config(tmp_path, even), tmp_path / "out")
    assert file.read_text() == "mine = 1\n"


def test_a_sampler_that_balances_gets_the_classifier_alone(tmp_path):
    diagnosis = seen(write_config(tmp_path, more=SAMPLER), tmp_path / "out")
    assert list(diagnosis.prescription.changes) == [
        "model.roi_head.bbox_head.cls_predictor_cfg"
    ]


def test_a_head_with_a_classifier_of_its_own_gets_a_loss(tmp_path):
    config = write_config(
        tmp_path,
        base="mmdet::double_heads/dh-faster-rcnn_r50_fpn_1x_coco.py",
        more=DOUBLE,
    )
    assert prescribed(config, tmp_path / "out") == ["seesaw"]
    loss = Config.fromfile(tmp_path / "out/prescription.py").model.roi_head.bbox_head
    assert loss.loss_cls == dict(type="imb_det.SeesawLoss")


@pytest.mark.weekly
def test_heads_of_a_cascade_are_changed_all(tmp_path):
    base = "mmdet::cascade_rcnn/cascade-rcnn_r50_fpn_1x_coco.py"
    head = dict(
        type="Shared2FCBBoxHead",
        in_channels=256,
        fc_out_channels=8,
        roi_feat_size=7,
        num_classes=3,
        reg_class_agnostic=True,
    )
    more = f"model['roi_head']['bbox_head'] = [{head}] * 3\n"
    config = write_config(tmp_path, base=base, more=more)
    assert prescribed(config, tmp_path / "out") == ["rfs_cosine"]
    heads = Config.fromfile(tmp_path / "out/prescription.py").model.roi_head.bbox_head
    kinds = [head.cls_predictor_cfg.type for head in heads]
    assert kinds == ["imb_det.NormedLinear"] * 3
    assert [head.fc_out_channels for head in heads] == [8] * 3


def test_options_of_the_command_line_are_kept(tmp_path):
    options = {"train_dataloader.batch_size": 7}
    diagnosis, _ = diagnose(
        str(write_config(tmp_path)), options, look_at_images=False, out=tmp_path
    )
    assert Config.fromfile(diagnosis.patch).train_dataloader.batch_size == 7


def test_configs_that_import_their_bases_are_written_whole(tmp_path):
    (tmp_path / "base.py").write_text("model = dict(head=dict(type='Head', old=1))\n")
    path = tmp_path / "lazy.py"
    path.write_text(
        "from mmengine.config import read_base\n\n"
        "with read_base():\n    from .base import *\n"
    )
    changes = {
        "model.head": dict(_delete_=True, type="Other"),
        "model.new": dict(_delete_=True, type="New"),
    }
    chosen = Prescription((), (), changes)
    config = Config.fromfile(path)
    write_patch(tmp_path / "out.py", chosen, config, str(path))
    patched = Config.fromfile(tmp_path / "out.py")
    assert patched.model.to_dict() == dict(
        head=dict(type="Other"), new=dict(type="New")
    )
    assert config.model.head.old == 1  # what was read stays as it is


def test_dense_heads_get_nothing_that_was_not_measured(tmp_path):
    more = "del model['roi_head']\nmodel['bbox_head'] = dict(num_classes=3)\n"
    base = "mmdet::retinanet/retinanet_r50_fpn_1x_coco.py"
    diagnosis = seen(write_config(tmp_path, base=base, more=more))
    assert diagnosis.prescription.advice == ()
    assert "tools/calibrate.py" in diagnosis.text()


def test_heads_of_queries_get_the_sampler(tmp_path):
    more = """
del model["roi_head"]
model["num_queries"] = 10
model["encoder"] = model["decoder"] = dict(num_layers=1)
model["bbox_head"] = dict(num_classes=3)
"""
    base = "mmdet::deformable_detr/deformable-detr_r50_16xb2-50e_coco.py"
    diagnosis = seen(write_config(tmp_path, base=base, more=more))
    (advice,) = diagnosis.prescription.advice
    assert (advice.dataset, advice.method) == ("deformable_detr", "rfs")
    assert "top-1 rare +0.0" in diagnosis.prescription.reasons[0]


def test_lines_that_are_prescribed_say_what_must_hold():
    for advice in GUIDE:
        assert bool(advice.needs) == bool(advice.changes)
        assert len(advice.changes) <= 3
