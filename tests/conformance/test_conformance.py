"""Starts the conformance suite: everything in it, on every backend."""

# ruff: noqa: F401  pytest collects what is imported here

from harness.conformance.models import db_metadata
from harness.conformance.suite import (
    TestAggregates,
    TestBulk,
    TestConstraints,
    TestCrud,
    TestDataErrors,
    TestDecimals,
    TestFilters,
    TestGetOrCreate,
    TestIsolation,
    TestJoins,
    TestJson,
    TestKeys,
    TestLazyLoads,
    TestLoading,
    TestMoments,
    TestNulls,
    TestNumbers,
    TestOrder,
    TestOtherValues,
    TestPages,
    TestRelationshipFilters,
    TestSessionOfThisTask,
    TestSoftDelete,
    TestStamps,
    TestStreams,
    TestText,
    TestTextFilters,
    TestTransactions,
    TestUpserts,
    TestVersions,
)
