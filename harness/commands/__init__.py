"""The commands of `python -m harness`, one file each."""

__all__: list[str] = []
