"""What the server of ``tests/processes.py`` imports before it forks.

Only imports: what is computed here would be in every process that the tests start.
These leave them out where garbage is collected, as mmengine does with each data set.
"""

import gc

import imb_det.analysis
import imb_det.cli
import imb_det.evaluation.offline  # noqa: F401

gc.collect()
gc.freeze()
