"""Where the parts of a training are in a runner."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from mmdet.models.dense_heads import RPNHead
from mmengine.model import is_model_wrapper
from mmengine.runner import Runner
from torch import nn

from imb_det.core.check_context import CheckContext
from imb_det.core.listener import TrainingMemory, WorkDirListener
from imb_det.statistics.dataset_access import dataset_nodes, steps_of

__all__ = [
    "bare_model",
    "components_of",
    "context_of",
    "forget_training",
    "hooks_of",
    "metrics_of",
    "models_of",
    "modules_of",
    "places_of",
    "refresh_averages",
    "restart_workers",
    "samplers_of",
    "tell_work_dir",
    "transforms_of",
]


def bare_model(runner: Runner) -> nn.Module:
    """Return the model below its wrapper."""
    return runner.model.module if is_model_wrapper(runner.model) else runner.model


def models_of(runner: Runner) -> list[nn.Module]:
    """Return the model below its wrapper, and the moving averages that hooks keep."""
    return [bare_model(runner), *_averages(runner)]


def modules_of(runner: Runner, with_proposals: bool = False) -> list[nn.Module]:
    """Return the modules of the model and of the moving averages that hooks keep.

    Those of a teacher that a detector distils from are among them.

    Args:
        runner: With a model.
        with_proposals: Whether those of region proposal heads are among them, which
            know no classes. Default: False.
    """
    parts = []
    models = models_of(runner)
    for model in [*models, *(t for m in models for t in _teachers(m))]:
        heads = [part for part in model.modules() if isinstance(part, RPNHead)]
        without = {id(part) for head in heads for part in head.modules()}
        if with_proposals:
            without.clear()
        parts += [part for part in model.modules() if id(part) not in without]
    return parts


def places_of(runner: Runner) -> dict[int, str]:
    """Return where each module of the model is, by its ``id``, for messages.

    Modules of moving averages, which are copies, are at the places of those.
    """
    return {
        id(part): f"`{path.removeprefix('module.')}`"
        for model in models_of(runner)
        for path, part in model.named_modules()
        if path
    }


def refresh_averages(runner: Runner) -> None:
    """Tell moving averages that buffers of their model have got another length.

    They keep a list of what they average since they were made.
    """
    for average in _averages(runner):
        if getattr(average, "update_buffers", False):
            average.avg_parameters = average.module.state_dict()


def forget_training(runner: Runner) -> None:
    """Clear the counts of another training, in the model and its moving averages."""
    for model in models_of(runner):
        for part in model.modules():
            if isinstance(part, TrainingMemory):
                part.forget_training()


def tell_work_dir(runner: Runner, components: Iterable[Any]) -> None:
    """Tell components where they may write."""
    for component in components:
        if isinstance(component, WorkDirListener):
            component.set_work_dir(runner.work_dir)


def samplers_of(loader: Any) -> list[Any]:
    """Return the samplers of a data loader, each once."""
    batch_sampler = getattr(loader, "batch_sampler", None)
    inner = getattr(batch_sampler, "sampler", None)
    return _once([getattr(loader, "sampler", None), batch_sampler, inner])


def restart_workers(runner: Runner) -> None:
    """Start the data workers of the training anew, which have copies of its data set.

    A loop that counts iterations may start them when it is built, before
    any hook.
    """
    loop: Any = getattr(runner, "train_loop", None)
    loader = runner.train_dataloader
    loader._iterator = None  # of workers that live on
    iterator = getattr(loop, "dataloader_iterator", None)
    if iterator is not None:
        loop.dataloader_iterator = type(iterator)(loader)


def transforms_of(dataset: Any) -> list[Any]:
    """Return the transforms of a data set and of all that it wraps, each once."""
    nodes = dataset_nodes(dataset)
    return _once(
        step for node in nodes for step in steps_of(getattr(node, "pipeline", None))
    )


def metrics_of(loop: Any) -> list[Any]:
    """Return the metrics of a validation or test loop."""
    return list(getattr(getattr(loop, "evaluator", None), "metrics", ()))


def hooks_of(runner: Runner) -> list[Any]:
    """Return all hooks, those that the config names and those of mmengine."""
    return list(getattr(runner, "hooks", ()))


def components_of(
    runner: Runner,
    *loops: Any,
    for_training: bool = False,
    with_proposals: bool = False,
) -> list[Any]:
    """Return everything that may listen, each once.

    Args:
        runner: With a model.
        *loops: Validation and test loops, whose metrics are wanted; None for none.
        for_training: Whether samplers and transforms of the training set and all hooks
            are among them. Default: False.
        with_proposals: As in :func:`modules_of`.
    """
    parts: list[Any] = [*modules_of(runner, with_proposals)]
    if for_training:
        loader = runner.train_dataloader
        parts += [*samplers_of(loader), *transforms_of(loader.dataset)]
    for loop in loops:
        parts += metrics_of(loop)
    return _once([*parts, *(hooks_of(runner) if for_training else ())])


def context_of(
    runner: Runner,
    for_training: bool = False,
    val_loop: Any = None,
    test_loop: Any = None,
    **others: Any,
) -> CheckContext:
    """Return what checks look at.

    Args:
        runner: With a model.
        for_training: Whether a training is to begin. Default: False.
        val_loop: Loop of the validation to come, or None.
        test_loop: Loop of the test to come, or None.
        **others: Other fields of the context.
    """
    loops: Mapping[str, Any] = {"val": val_loop, "test": test_loop}
    loaders = {
        name: getattr(runner, f"{name}_dataloader")
        for name, loop in loops.items()
        if loop is not None
    }
    if for_training:
        loaders = {"train": runner.train_dataloader, **loaders}
    return CheckContext(
        model=bare_model(runner),
        datasets={name: loader.dataset for name, loader in loaders.items()},
        metrics={name: metrics_of(loop) for name, loop in loops.items()},
        components=components_of(
            runner, *loops.values(), for_training=for_training, with_proposals=True
        ),
        hooks=hooks_of(runner),
        train_loop=getattr(runner, "train_loop", None) if for_training else None,
        param_schedulers=runner.param_schedulers if for_training else None,
        val_loop=val_loop,
        train_dataloader=loaders.get("train"),
        **others,
    )


def _averages(runner: Runner) -> list[Any]:
    found = (getattr(hook, "ema_model", None) for hook in hooks_of(runner))
    return [average for average in found if isinstance(average, nn.Module)]


def _teachers(model: nn.Module) -> list[nn.Module]:
    """Return the teacher that mmdet keeps beside the modules of a model, if any.

    LAD's assigns the objects by its loss.
    """
    teacher = vars(model).get("teacher_model")
    return [teacher] if isinstance(teacher, nn.Module) else []


def _once(things: Iterable[Any]) -> list[Any]:
    """Leave out None, and what is there already."""
    return list({id(thing): thing for thing in things if thing is not None}.values())
