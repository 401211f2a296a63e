"""What a run did: logs, figures and pictures as data; tools only print them."""

from .comparison_results import RunComparison
from .examples import Example, make_example, pick_images
from .gradient_plot import gradient_table, gradient_text, plot_gradients
from .plots import plot_classes, plot_curves, plot_examples
from .report import Report, make_report
from .run_comparison import compare_runs
from .run_log import RunLog, read_run_log
from .work_dir import find_checkpoint, find_config, find_predictions

__all__ = [
    "Example",
    "Report",
    "RunComparison",
    "RunLog",
    "compare_runs",
    "find_checkpoint",
    "find_config",
    "find_predictions",
    "gradient_table",
    "gradient_text",
    "make_example",
    "make_report",
    "pick_images",
    "plot_classes",
    "plot_curves",
    "plot_examples",
    "plot_gradients",
    "read_run_log",
]
