"""
The table of commit markers: on MySQL and MariaDB, proof that a transaction was committed.

Both have no way to ask what became of a transaction. One that writes a row with a key of its
own can be asked for by that key (``andamios/resilience/settling/mysql.py``).
"""

from __future__ import annotations

from sqlalchemy import BINARY, Column, MetaData, Table, text
from sqlalchemy.dialects import mysql

__all__ = ["MARKERS", "MARKING_BACKENDS"]

MARKING_BACKENDS = ("mysql", "mariadb")
"""The backends that need it."""

MARKERS = Table(
    "andamios_commits",
    MetaData(),
    # Its first six bytes are a time, so that rows come in the order of their keys.
    Column("marker", BINARY(16), primary_key=True),
    # Who wrote it, as the server counts its connections; 0 is a settler.
    Column("thread", mysql.BIGINT(unsigned=True), nullable=False),
    Column("server", mysql.INTEGER(unsigned=True), nullable=False),
    Column(
        "created_at",
        mysql.TIMESTAMP(fsp=6),
        nullable=False,
        server_default=text("CURRENT_TIMESTAMP(6)"),
    ),
    mysql_engine="InnoDB",
    mariadb_engine="InnoDB",
)
"""One row a transaction, for a day."""
