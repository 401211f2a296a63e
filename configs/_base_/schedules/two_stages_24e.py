# Features for 18 epochs, then the classifier for 6, with a rate that falls twice.
_base_ = "./schedule_24e.py"
_features, _classifier = 18, 6
warm_up, cosine = _base_.param_scheduler
param_scheduler = [
    warm_up,
    dict(cosine, end=_features, T_max=_features),
    dict(
        type="CosineRestartLR",
        by_epoch=True,
        begin=_features,
        end=_features + _classifier,
        periods=[_classifier],
        eta_min=0,
        convert_to_iter_based=True,
    ),
]
