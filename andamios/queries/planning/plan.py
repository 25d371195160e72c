"""The plan of a query: one tree, in one vocabulary, whichever database made it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from andamios.errors import MissingDependencyError

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["QueryPlan"]


@dataclass(frozen=True, slots=True)
class QueryPlan:
    """
    A node of a plan with the nodes that it reads from; the first one is the whole plan.

    Rows are those of one run of the node: the inner side of a nested loop runs many times.

    Args:
        node: What it does: one of ``nodes.ACCESSES``, or ``sort``, ``nested loop``, ``hash
            join``, ``hash``, ``merge join``, ``aggregate``, ``filter``, ``limit``, ``unique``,
            ``materialize``, ``union``, ``subquery``, ``window``, ``bitmap index``,
            ``result`` or ``other``.
        table: The table that it reads, by its alias where it has one.
        index: The index that it uses.
        estimated_rows: Rows that the planner expects; None where the database does not say.
        actual_rows: Rows that came, where the statement was run for it.
        cost: The planner's own measure for this node and all below; None where it has none.
        detail: The database's own words. Values of the query may be among them.
        children: The nodes that it reads from.

    Example:
        >>> from andamios.queries.planning.plan import QueryPlan
        >>> scan = QueryPlan("sequential scan", table="port", estimated_rows=3)
        >>> print(QueryPlan("sort", children=(scan,)))
        sort
        └─ sequential scan on port  (3 rows)
    """

    node: str
    table: str | None = None
    index: str | None = None
    estimated_rows: float | None = None
    actual_rows: float | None = None
    cost: float | None = None
    detail: str = ""
    children: tuple[QueryPlan, ...] = ()

    def walk(self) -> Iterator[QueryPlan]:
        """Give this node and all below it, each before what it reads from."""
        yield self
        for child in self.children:
            yield from child.walk()

    def find(self, node: str) -> list[QueryPlan]:
        """Give the nodes of one kind."""
        return [each for each in self.walk() if each.node == node]

    def uses_index(self, name: str) -> bool:
        """Whether any node reads through the index of this name."""
        return any(each.index == name for each in self.walk())

    @property
    def title(self) -> str:
        """What the node does, on what."""
        table = f" on {self.table}" if self.table else ""
        return f"{self.node}{table}{f' using {self.index}' if self.index else ''}"

    def __str__(self) -> str:
        return "\n".join(self._lines("", ""))

    def _lines(self, first: str, rest: str) -> Iterator[str]:
        yield f"{first}{self.title}{self._figures()}"
        for child in self.children:
            is_last = child is self.children[-1]
            begin, go_on = ("└─ ", "   ") if is_last else ("├─ ", "│  ")
            yield from child._lines(rest + begin, rest + go_on)  # noqa: SLF001  a node of its own

    def _figures(self) -> str:
        figures = [
            f"{value:,.{places}f} {unit}"
            for value, places, unit in (
                (self.estimated_rows, 0, "rows"),
                (self.actual_rows, 0, "came"),
                (self.cost, 1, "cost"),
            )
            if value is not None
        ]
        return f"  ({', '.join(figures)})" if figures else ""

    def plot(self, figure: Any = None) -> Any:
        """
        Draw the tree, with bars for the rows and the cost of each node.

        Args:
            figure: A figure of matplotlib to draw into; by default a new one.

        Returns:
            The figure.

        Raises:
            MissingDependencyError: matplotlib is not installed.
        """
        from andamios.queries.planning.picture import draw  # noqa: PLC0415  needs an extra

        return draw(self, figure)

    def _repr_pretty_(self, printer: Any, cycle: bool) -> None:  # noqa: FBT001  IPython's protocol
        """Show the tree at the end of a notebook's cell."""
        for number, line in enumerate(str(self).splitlines()):
            if number:
                printer.break_()
            printer.text(line)

    def _repr_svg_(self) -> str | None:
        # A notebook then shows the text instead.
        try:
            from andamios.queries.planning.picture import as_svg  # noqa: PLC0415

            return as_svg(self)
        except MissingDependencyError:
            return None
