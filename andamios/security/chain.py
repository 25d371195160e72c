"""
The hash chain of an audit trail, and what a check of it finds.

Each link is the hash of the one before it, of its own position and of a row, so that
nobody can change, remove or move a row without breaking every later link: B. Schneier and
J. Kelsey, "Secure Audit Logs to Support Computer Forensics", ACM TISSEC 2(2), 1999;
S. Crosby and D. Wallach, "Efficient Data Structures for Tamper-Evident Logging", USENIX
Security 2009. Without a key, whoever may write to the database could compute a whole new
chain; with one (HMAC, RFC 2104) nobody can who does not know it. That the newest links were
cut off shows only against a head that is kept elsewhere. So does a change of rows whose links
were cut off first: the next sealer, who knows the key, takes them for new ones.
"""

from __future__ import annotations

import hashlib
import hmac
import json
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

__all__ = ["GENESIS", "AuditHead", "AuditProblem", "AuditReport", "ProblemKind", "digest"]

GENESIS = "0" * 64
"""What stands in front of the first link."""

ProblemKind: TypeAlias = Literal["changed", "removed", "reordered"]


@dataclass(frozen=True, slots=True)
class AuditHead:
    """
    The end of a chain; keep it elsewhere, and nobody can cut off what came before.

    Args:
        sealed: Links so far.
        hash: The last one, 64 hexadecimal digits.
    """

    sealed: int = 0
    hash: str = GENESIS


@dataclass(frozen=True, slots=True)
class AuditProblem:
    """
    The first place at which a trail is not what was sealed.

    Args:
        kind: ``changed``, ``removed`` or ``reordered``.
        position: Which link, counted from 1.
        row_id: Which row; None where the link is gone too, and nobody knows any more.
    """

    kind: ProblemKind
    position: int
    row_id: int | None = None


@dataclass(frozen=True, slots=True)
class AuditReport:
    """
    What a check of the trail found.

    Args:
        sealed: Links that were checked and are right.
        unsealed: Rows that no link protects yet.
        head: The end of the part that is right.
        problem: The first one; None when there is none.

    Example:
        >>> from andamios.security import AuditHead, AuditReport
        >>> AuditReport(sealed=0, unsealed=3, head=AuditHead()).is_intact
        True
    """

    sealed: int
    unsealed: int
    head: AuditHead
    problem: AuditProblem | None = None

    @property
    def is_intact(self) -> bool:
        """Whether every sealed row is what, and where, it was."""
        return self.problem is None


def digest(content: list[Any], key: bytes | None) -> str:
    """
    Hash a list of texts and numbers as canonical JSON.

    Args:
        content: What to hash.
        key: Of an HMAC; None is the plain hash.

    Returns:
        64 hexadecimal digits.
    """
    data = json.dumps(content, ensure_ascii=True, separators=(",", ":")).encode()
    return (hmac.new(key, data, hashlib.sha256) if key else hashlib.sha256(data)).hexdigest()
