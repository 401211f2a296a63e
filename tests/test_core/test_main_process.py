"""Errors of rank 0 reach every rank, whatever they hold."""

import threading

import pytest

from imb_det.core.main_process import on_main_process
from tests.two_ranks import on_two_ranks


class Unpicklable(Exception):
    def __init__(self):
        super().__init__("the lock is stuck")
        self.lock = threading.Lock()


def fail():
    raise Unpicklable


def give_lock():
    return threading.Lock()


def work(rank):
    results = [on_main_process(lambda: rank + 10)]
    for call in (fail, give_lock):
        try:
            on_main_process(call)
        except Exception as error:
            results.append(f"{type(error).__name__} {error}")
    return results


def test_one_process():
    assert on_main_process(lambda: 3) == 3
    with pytest.raises(Unpicklable):
        on_main_process(fail)


@pytest.mark.dist
def test_two_ranks(tmp_path):
    first, second = on_two_ranks(tmp_path, work)
    assert first == second
    assert first[0] == 10
    assert "the lock is stuck" in first[1]
    assert "lock" in first[2]
