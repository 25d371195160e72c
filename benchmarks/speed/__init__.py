"""
How fast Andamios is, as ratios to the raw driver: ``python -m benchmarks.speed``.

Every system, the raw driver included, does the same operations on the same tables in one process
and one event loop, in rounds that take turns (``measure``). What each was asked to do stands in
its own file, in ``floors`` and ``systems``.
"""
