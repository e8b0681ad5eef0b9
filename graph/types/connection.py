"""Relay connections: what every growing list looks like."""

from collections.abc import Callable, Sequence
from typing import Annotated, Generic, TypeVar

import strawberry

from core.paging import Page
from graph.public_data import public_attributes

Row = TypeVar("Row")
Node = TypeVar("Node")

First = Annotated[int | None, strawberry.argument(description="How many rows to return, from the start of the order.")]
After = Annotated[str | None, strawberry.argument(description="Return rows after this cursor.")]
Last = Annotated[int | None, strawberry.argument(description="How many rows to return, from the end of the order.")]
Before = Annotated[str | None, strawberry.argument(description="Return rows before this cursor.")]


@public_attributes
@strawberry.type(description="Where a page lies in its list.")
class PageInfo:
    has_next_page: bool = strawberry.field(description="Whether rows follow this page.")
    has_previous_page: bool = strawberry.field(description="Whether rows precede this page.")
    start_cursor: str | None = strawberry.field(
        description="Cursor of the page's first row, or of where reading ended before it; pass it as `before`."
    )
    end_cursor: str | None = strawberry.field(
        description="Cursor of the page's last row, or of where reading ended after it; pass it as `after`."
    )


@public_attributes
@strawberry.type(description="A row with its cursor.")
class Edge(Generic[Node]):
    cursor: str = strawberry.field(description="Opaque place of this row; never expires.")
    node: Node = strawberry.field(description="The row itself.")


@public_attributes
@strawberry.type(description="A page of a list.")
class Connection(Generic[Node]):
    edges: list[Edge[Node]] = strawberry.field(description="The rows with their cursors.")
    nodes: list[Node] = strawberry.field(description="The rows alone.")
    page_info: PageInfo = strawberry.field(description="Whether there is more, and where to go on.")
    total_count: int | None = strawberry.field(description="Rows in the whole list; null where counting is not cheap.")


def connect(
    page: Page[Row],
    *,
    node: Callable[[Row], Node],
    cursor: Callable[[Row], str],
    total_count: int | None = None,
) -> Connection[Node]:
    """The connection of a page of rows."""
    edges = [Edge(cursor=cursor(row), node=node(row)) for row in page.items]
    return Connection(
        edges=edges,
        nodes=[edge.node for edge in edges],
        page_info=_page_info(edges, page),
        total_count=total_count,
    )


def _page_info(edges: Sequence[Edge[Node]], page: Page[Row]) -> PageInfo:
    return PageInfo(
        has_next_page=page.has_next,
        has_previous_page=page.has_previous,
        start_cursor=page.start or (edges[0].cursor if edges else None),
        end_cursor=page.end or (edges[-1].cursor if edges else None),
    )
