"""Transactions that append to lists, whose order then tells what was isolated from what."""

from harness.faults.histories.appends.workload import ListAppend, ListStore

__all__ = ["ListAppend", "ListStore"]
