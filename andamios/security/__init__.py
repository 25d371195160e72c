"""Security: encrypted connections, encrypted secrets, and an audit trail."""
