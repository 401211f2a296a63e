"""Components that listen to stages, and a runner with them."""

from mmcv.transforms import BaseTransform
from mmdet.registry import MODELS
from mmengine.dataset import DefaultSampler
from mmengine.hooks import Hook
from mmengine.registry import DATA_SAMPLERS, HOOKS, METRICS, TRANSFORMS

from tests.toy_runner import ListeningHead, ListeningMetric, make_runner

COUNTING = dict(type="imb_det.ImbalanceHook", check_images=False)
THREE_EPOCHS = [dict(name="plain", epochs=1), dict(name="reweighted", epochs=2)]
PER_EPOCH = 3  # iterations


class Staged:
    """Remembers what it hears, from the start with a default."""

    stage = "default"

    def set_stage(self, stage):
        self.stage = stage.name
        self.heard_stages = [*getattr(self, "heard_stages", ()), stage.name]


@MODELS.register_module()
class StagedHead(Staged, ListeningHead):
    pass


@METRICS.register_module()
class StagedMetric(Staged, ListeningMetric):
    pass


@DATA_SAMPLERS.register_module()
class StagedSampler(Staged, DefaultSampler):
    def __iter__(self):
        self.drawn_in = [*getattr(self, "drawn_in", ()), self.stage]
        return super().__iter__()


@TRANSFORMS.register_module()
class StagedTransform(Staged, BaseTransform):
    def transform(self, results):
        self.seen = [*getattr(self, "seen", ()), self.stage]
        return results


@HOOKS.register_module()
class Recorder(Staged, Hook):
    """Notes which stage the head was in at each iteration; stops where it is told."""

    def __init__(self, stop_at=None):
        self.stop_at = stop_at
        self.stages = {}

    def before_train_iter(self, runner, batch_idx, data_batch=None):
        if runner.iter == self.stop_at:
            raise KeyboardInterrupt

    def after_train_iter(self, runner, *_, **__):
        self.stages[runner.iter] = head_of(runner).stage


def head_of(runner):
    model = runner.model
    return getattr(model, "module", model).bbox_head


def hook_of(runner, kind):
    return next(hook for hook in runner.hooks if isinstance(hook, kind))


def staged_runner(
    work_dir, dataset, stages=THREE_EPOCHS, epochs=3, *, others=(), stop_at=None, **more
):
    hooks = [COUNTING, dict(type="Recorder", stop_at=stop_at), *others]
    if stages is not None:
        hooks.append(dict(type="imb_det.StageHook", stages=stages))
    options = dict(val_evaluator=dict(type="StagedMetric")) | more
    runner = make_runner(work_dir, dataset, epochs, hooks, **options)
    runner.model.bbox_head.__class__ = StagedHead
    return runner


def numbers(*lengths):
    """Stages by iteration, counted from 0."""
    names = [name for name, length in lengths for _ in range(length)]
    return dict(enumerate(names))
