"""Histories of what concurrent clients did, and checkers of whether a database may do that."""

from harness.faults.histories.appends.workload import ListAppend, ListStore
from harness.faults.histories.bank import Bank, BankStore
from harness.faults.histories.counter import Counter, CounterStore
from harness.faults.histories.history import History, HistoryError, Invocation
from harness.faults.histories.levels import Level, level_of
from harness.faults.histories.operation import Operation, Outcome
from harness.faults.histories.sets import GrowingSet, SetStore
from harness.faults.histories.verdict import Anomaly, Verdict
from harness.faults.histories.workload import Workload, drive

__all__ = [
    "Anomaly",
    "Bank",
    "BankStore",
    "Counter",
    "CounterStore",
    "GrowingSet",
    "History",
    "HistoryError",
    "Invocation",
    "Level",
    "ListAppend",
    "ListStore",
    "Operation",
    "Outcome",
    "SetStore",
    "Verdict",
    "Workload",
    "drive",
    "level_of",
]
