"""Monitoring: metrics and health."""
