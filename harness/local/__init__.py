"""Servers from this machine: no container engine and no root needed."""

__all__: list[str] = []
