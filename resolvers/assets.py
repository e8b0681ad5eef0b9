"""Root fields of assets."""

from typing import Annotated

import strawberry

from core.paging import PageRequest
from graph.context import Context
from graph.types.asset import Asset
from graph.types.connection import After, Before, Connection, First, Last, connect
from graph.types.inputs import AssetFilter
from services.markets import AssetCriteria

Info = strawberry.Info[Context, None]


def asset(
    info: Info, code: Annotated[str, strawberry.argument(description="Code in capitals, such as `BTC`.")]
) -> Asset | None:
    return Asset.of(info.context.catalogue.asset(code))


def assets(
    info: Info,
    filter: Annotated[AssetFilter | None, strawberry.argument(description="Which assets.")] = None,
    first: First = None,
    after: After = None,
    last: Last = None,
    before: Before = None,
) -> Connection[Asset] | None:
    wanted = filter or AssetFilter()
    criteria = AssetCriteria(codes=wanted.codes, kind=wanted.kind, search=wanted.search)
    page, total = info.context.markets.list_assets(criteria, PageRequest(first, after, last, before))
    return connect(
        page, node=lambda placed: Asset.of(placed.row), cursor=lambda placed: placed.cursor, total_count=total
    )
