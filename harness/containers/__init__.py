"""
Servers in containers: official images, or the project's own where no registry answers.

`images/` holds the recipes of the latter; `python -m harness images build` makes them.
"""

__all__: list[str] = []
