"""Root fields of chains."""

from typing import Annotated

import strawberry

from graph.context import Context
from graph.types.asset import Chain

Info = strawberry.Info[Context, None]


def chains(info: Info) -> list[Chain] | None:
    return [Chain.of(chain) for chain in info.context.catalogue.chains.values()]


def chain(
    info: Info, key: Annotated[str, strawberry.argument(description="Its key, such as `ethereum`.")]
) -> Chain | None:
    return Chain.of(info.context.catalogue.chain(key, field=("key",)))


async def resolve_name(
    info: Info, name: Annotated[str, strawberry.argument(description="A name such as `vitalik.eth`.")]
) -> str | None:
    return await info.context.wallet_views.names.resolve(name)
