"""
What "the same on every backend" means, one file a topic.

A project runs it by importing the test classes, and the fixture that says which tables
they need, into a test module of its own::

    from harness.conformance.models import db_metadata
    from harness.conformance.suite import *
"""

from harness.conformance.suite.constraints import TestConstraints, TestDataErrors
from harness.conformance.suite.crud import TestBulk, TestCrud, TestKeys
from harness.conformance.suite.filters import (
    TestFilters,
    TestRelationshipFilters,
    TestTextFilters,
)
from harness.conformance.suite.histories import TestHistories, TestHooks
from harness.conformance.suite.joins import TestAggregates, TestJoins, TestLoading
from harness.conformance.suite.moments import TestMoments
from harness.conformance.suite.numbers import TestDecimals, TestNumbers
from harness.conformance.suite.paging import TestOrder, TestPages, TestStreams
from harness.conformance.suite.queries import (
    TestBuilders,
    TestEnds,
    TestPeers,
    TestSetWrites,
    TestShapes,
)
from harness.conformance.suite.rules import TestSoftDelete, TestStamps, TestVersions
from harness.conformance.suite.sessions import TestLazyLoads, TestSessionOfThisTask
from harness.conformance.suite.soft_deletes import (
    TestSoftCascades,
    TestSoftMemory,
    TestSoftUnique,
)
from harness.conformance.suite.texts import TestText
from harness.conformance.suite.transactions import TestIsolation, TestTransactions
from harness.conformance.suite.upserts import TestGetOrCreate, TestUpserts
from harness.conformance.suite.values import TestJson, TestNulls, TestOtherValues

__all__ = [
    "TestAggregates",
    "TestBuilders",
    "TestBulk",
    "TestConstraints",
    "TestCrud",
    "TestDataErrors",
    "TestDecimals",
    "TestEnds",
    "TestFilters",
    "TestGetOrCreate",
    "TestHistories",
    "TestHooks",
    "TestIsolation",
    "TestJoins",
    "TestJson",
    "TestKeys",
    "TestLazyLoads",
    "TestLoading",
    "TestMoments",
    "TestNulls",
    "TestNumbers",
    "TestOrder",
    "TestOtherValues",
    "TestPages",
    "TestPeers",
    "TestRelationshipFilters",
    "TestSessionOfThisTask",
    "TestSetWrites",
    "TestShapes",
    "TestSoftCascades",
    "TestSoftDelete",
    "TestSoftMemory",
    "TestSoftUnique",
    "TestStamps",
    "TestStreams",
    "TestText",
    "TestTextFilters",
    "TestTransactions",
    "TestUpserts",
    "TestVersions",
]
