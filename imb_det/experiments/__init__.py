"""Experiments: methods x seeds x data sets, trained, tested and compared."""

from .comparing import check_truth, compare_experiment
from .plan import Dataset, Experiment, Run
from .publishing import publish
from .reading import read_experiment
from .results import merge_results, read_results
from .runner import finished_results, run_all
from .state import status
from .tables import markdown_table

__all__ = [
    "Dataset",
    "Experiment",
    "Run",
    "check_truth",
    "compare_experiment",
    "finished_results",
    "markdown_table",
    "merge_results",
    "publish",
    "read_experiment",
    "read_results",
    "run_all",
    "status",
]
