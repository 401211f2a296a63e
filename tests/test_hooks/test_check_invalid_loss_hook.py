"""A training whose loss is not finite stops, and says where and with what."""

from types import SimpleNamespace

import pytest
import torch
from mmengine.registry import OPTIMIZERS

from imb_det.core import FindingsError
from imb_det.hooks import CheckInvalidLossHook
from tests.tiny_sets import write_voc
from tests.toy_runner import IMAGES, dataset_config, make_runner

pytestmark = pytest.mark.usefixtures("one_thread")
INF, NAN = float("inf"), float("nan")


@OPTIMIZERS.register_module()
class Standstill(torch.optim.SGD):
    """Takes no step."""

    def step(self, closure=None):
        pass


EXPLODES = dict(optimizer=dict(type="SGD", lr=1e30))


@pytest.fixture
def voc(tmp_path):
    return dataset_config(write_voc(tmp_path / "voc", IMAGES))


def standing(iteration=6):
    """Imitate a runner after an iteration."""
    wrapper = SimpleNamespace(get_lr=lambda: dict(lr=[0.5, 0.25, 0.5]))
    return SimpleNamespace(epoch=2, iter=iteration, optim_wrapper=wrapper)


def look(outputs, batch=None, interval=1, **kwargs):
    hook = CheckInvalidLossHook(interval)
    hook.after_train_iter(standing(**kwargs), 0, batch, outputs)


@pytest.mark.parametrize(
    ("outputs", "told"),
    [
        (dict(loss=NAN, loss_cls=NAN, loss_bbox=0.5), "loss_cls nan, loss_bbox 0.5;"),
        (dict(loss=INF, loss_cls=3e38, loss_iou=3e38), "loss_cls 3e+38, loss_iou 3e"),
        (dict(loss=INF), ": loss inf;"),
        (dict(loss_cls=-INF, acc=NAN), ": loss_cls -inf;"),
        (dict(loss=NAN, acc=NAN, loss_a=NAN), ": loss_a nan;"),
        (dict(loss=0.0, acc=NAN, grad_norm=INF), None),
        (dict(acc=NAN), None),
        (dict(), None),
        (None, None),
    ],
)
@pytest.mark.parametrize("as_tensor", [True, False])
def test_what_is_told(outputs, told, as_tensor):
    if outputs and as_tensor:
        outputs = {key: torch.tensor(value) for key, value in outputs.items()}
    if told is None:
        look(outputs)
        return
    with pytest.raises(FindingsError) as error:
        look(outputs)
    (finding,) = error.value.findings
    assert finding.code == "invalid_loss"
    assert finding.place.startswith("epoch 3, iteration 7: ")
    assert told in finding.place
    assert finding.place.endswith("; learning rate 0.5, 0.25")


@pytest.mark.parametrize(
    ("outputs", "told"),
    [
        # Of models that do not sum their terms up, or not as mmdet's.
        (
            dict(loss_cls=[torch.ones(2), torch.tensor([1.0, NAN])]),
            r"loss_cls\[1\] nan",
        ),
        (dict(loss=dict(a=1.0, b=[INF])), r"iteration 7: loss\[1\] inf"),
        (dict(loss_g=torch.tensor(2.0), loss_d=torch.tensor(NAN)), "loss_d nan"),
        (dict(loss=[torch.ones(3), torch.ones(2)], loss_of="text"), None),
        (dict(loss_kind="focal", loss_parts=dict(a=None, b="x")), None),
        (dict(loss=None), None),
    ],
)
def test_terms_of_any_form(outputs, told):
    if told is None:
        look(outputs)
        return
    with pytest.raises(FindingsError, match=told):
        look(outputs)


def test_the_images_of_a_batch_are_named_in_all_its_branches():
    named = [SimpleNamespace(img_path=f"{name}.jpg") for name in "ab"]
    unnamed = SimpleNamespace(img_id=7)
    for samples in ([*named, unnamed], dict(sup=named, unsup=[None, unnamed])):
        with pytest.raises(FindingsError, match=r"images a\.jpg, b\.jpg, image 7"):
            look(dict(loss=NAN), dict(data_samples=samples))


def test_it_looks_at_every_so_many_iterations():
    look(dict(loss=NAN), interval=4, iteration=6)
    with pytest.raises(FindingsError, match="iteration 8"):
        look(dict(loss=NAN), interval=4, iteration=7)


def test_gradients_that_are_not_finite_are_no_matter(tmp_path, voc):
    """As AMP meets them, which takes no step then."""
    still = dict(optimizer=dict(type="Standstill", lr=0.1))
    runner = make_runner(tmp_path / "work", voc, optim_wrapper=still)
    weight = runner.model.bbox_head.retina_cls.bias
    seen = []
    weight.register_hook(lambda grad: seen.append(1) or grad * INF)
    runner.train()
    assert len(seen) == runner.iter == 3


@pytest.mark.parametrize(
    ("hooks", "ends"),
    [
        ([dict(type="imb_det.ImbalanceHook")], 1),
        ([dict(type="imb_det.CheckInvalidLossHook")], 1),
        ([dict(type="imb_det.ImbalanceHook", check_loss=False)], 6),
        # mmdet's hook is asked for, so that this one does not speak.
        (
            [
                dict(type="imb_det.ImbalanceHook"),
                dict(type="CheckInvalidLossHook", interval=100),
            ],
            6,
        ),
    ],
)
def test_a_training_stops_before_it_saves_what_is_spoiled(tmp_path, voc, hooks, ends):
    saving = dict(checkpoint=dict(type="CheckpointHook", by_epoch=False, interval=1))
    runner = make_runner(
        tmp_path / "work", voc, 2, hooks, optim_wrapper=EXPLODES, default_hooks=saving
    )
    if ends == 6:
        runner.train()
        assert runner.iter == 6
        return
    with pytest.raises(FindingsError) as error:
        runner.train()
    (finding,) = error.value.findings
    assert finding.where == "epoch 1, iteration 2"
    assert "loss_cls nan" in finding.evidence
    assert "learning rate 1e+30" in finding.evidence
    assert "JPEGImages" in finding.evidence
    saved = sorted(path.name for path in (tmp_path / "work").glob("*.pth"))
    assert saved == ["iter_1.pth"]
