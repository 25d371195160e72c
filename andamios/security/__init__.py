"""Security: secrets encrypted at rest, and an audit trail that shows every later change."""

from andamios.security.audit import AuditLogger
from andamios.security.chain import AuditHead, AuditProblem, AuditReport
from andamios.security.credentials import CredentialsFile
from andamios.security.keys import create_key_file, generate_key, read_key_file

__all__ = [
    "AuditHead",
    "AuditLogger",
    "AuditProblem",
    "AuditReport",
    "CredentialsFile",
    "create_key_file",
    "generate_key",
    "read_key_file",
]
