"""Trials: a workload, a database and a fault, and the table and picture of what came of them."""

from harness.faults.trials.running import Plan, try_fault
from harness.faults.trials.table import TrialTable
from harness.faults.trials.timeline import timeline
from harness.faults.trials.trial import Strike, Trial

__all__ = ["Plan", "Strike", "Trial", "TrialTable", "timeline", "try_fault"]
