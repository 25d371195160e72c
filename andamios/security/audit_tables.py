"""
The tables of an audit trail, in a MetaData of their own.

Rows are only ever added to ``andamios_audit_log``, apart from the mark that a row is
sealed; the links stand beside them, so that a row that is gone is still known by its link.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import sqlalchemy as sa
from sqlalchemy.dialects import mysql

from andamios.models.tables import BINARY_TEXT, NAMING_CONVENTION
from andamios.models.types import BIG_INTEGER, UTCDateTime
from andamios.security.chain import digest

if TYPE_CHECKING:
    from sqlalchemy import Row

__all__ = ["HEAD", "HEAD_ID", "LOG", "METADATA", "SEALS", "row_digest"]

METADATA = sa.MetaData(naming_convention=NAMING_CONVENTION)

OPTIONS: dict[str, Any] = {**BINARY_TEXT}

LONG_TEXT = sa.Text().with_variant(mysql.LONGTEXT(), "mysql", "mariadb")

LOG = sa.Table(
    "andamios_audit_log",
    METADATA,
    sa.Column("id", BIG_INTEGER, primary_key=True),
    sa.Column("at", UTCDateTime(), nullable=False),
    sa.Column("user_id", sa.String(255)),
    sa.Column("table_name", sa.String(255), nullable=False),
    sa.Column("operation", sa.String(64), nullable=False),
    sa.Column("row_key", sa.String(255)),
    # Text and not JSON: a server may write JSON differently, and the hash is of characters.
    sa.Column("details", LONG_TEXT),
    sa.Column("is_sealed", sa.Boolean(), nullable=False, default=False, index=True),
    **OPTIONS,
)

SEALS = sa.Table(
    "andamios_audit_seal",
    METADATA,
    sa.Column("position", BIG_INTEGER, primary_key=True, autoincrement=False),
    sa.Column("row_id", BIG_INTEGER, nullable=False, unique=True),
    sa.Column("digest", sa.String(64), nullable=False),
    sa.Column("hash", sa.String(64), nullable=False),
    **OPTIONS,
)

HEAD = sa.Table(
    "andamios_audit_head",
    METADATA,
    sa.Column("id", sa.Integer(), primary_key=True, autoincrement=False),
    sa.Column("sealed", BIG_INTEGER, nullable=False),
    sa.Column("hash", sa.String(64), nullable=False),
    **OPTIONS,
)

HEAD_ID = 1
"""Of the one row that counts."""


def row_digest(row: Row[Any], key: bytes | None) -> str:
    """Hash what a row of the log says, whatever its place."""
    said = [row.user_id, row.table_name, row.operation, row.row_key, row.details]
    return digest([row.at.isoformat(timespec="microseconds"), *said], key)
