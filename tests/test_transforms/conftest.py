import pytest


@pytest.fixture(scope="session", autouse=True)
def quick_construction():
    """Mosaic and MixUp of mmdet search all modules for their caller, for a log line."""
    with pytest.MonkeyPatch.context() as patch:
        where = "mmdet.datasets.transforms.transforms.log_img_scale"
        patch.setattr(where, lambda *args, **kwargs: None)
        yield
