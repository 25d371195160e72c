"""How a database means to answer a query: plans, and asking for them (``explain``)."""

from andamios.queries.planning.plan import QueryPlan

__all__ = ["QueryPlan"]
