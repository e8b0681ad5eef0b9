"""Deposits on EVM chains, as `deposit_chain.py` wants them: transactions have one sender, by whom the house's own movements are told apart.

What contracts pay within transactions of others is found by `deposit_internal.py`.
"""

import asyncio
from collections.abc import Awaitable, Callable, Collection, Mapping
from dataclasses import replace

from core.money import CONTEXT
from integrations.chains.errors import ChainError
from integrations.chains.evm.client import EvmClient
from integrations.chains.evm.messages import EvmBlock
from models.deposit import DepositDocument
from services.deposit_chain import ChainBlock
from services.deposit_forms import Form, Sighting
from services.deposit_internal import TRACE, InternalPayments
from services.deposit_sightings import attested, in_block, transactions_of
from services.house_sorting import sort_out
from services.house_transfers import HouseWallets, Sorted


class EvmDeposits:
    """Of one chain; `forms` is what is taken there, by contract."""

    def __init__(self, client: EvmClient, forms: Mapping[str | None, Form]) -> None:
        self._client = client
        self._forms = forms
        coin = forms.get(None)
        self._internal = None if coin is None else InternalPayments(client, coin)

    async def heads(self) -> Collection[int]:
        return [head.number for head in (await self._client.heads_of_all()).values() if isinstance(head, EvmBlock)]

    async def blocks_at(self, number: int) -> Mapping[str, EvmBlock | ChainError | None]:
        return await self._client.blocks_of_all(number)

    async def brought(self, block: ChainBlock, wallets: Callable[[], Awaitable[HouseWallets]]) -> Sorted:
        if not isinstance(block, EvmBlock):
            raise TypeError("a block of another family")
        transactions = await transactions_of(self._client, block)
        house = await wallets()
        asked = in_block(self._client, block, transactions, self._forms, house)
        if self._internal is None:
            return await sort_out(house, block, await asked)
        addresses = list(house.deposits)
        seen, gains = await asyncio.gather(asked, self._internal.gains(block, addresses))
        inner = await self._internal.of_block(block, addresses, gains, seen)
        found = await sort_out(house, block, replace(seen, moved=(*seen.moved, *(inner or ()))))
        return replace(found, is_all=inner is not None)

    async def attested(self, row: DepositDocument, form: Form) -> None:
        if row.place.startswith(TRACE) and self._internal is not None:
            await self._internal.attested(row)
            return
        units = int(CONTEXT.scaleb(row.amount, form.network.decimals))
        seen = Sighting(form, row.sender, row.address, units, row.hash, row.place)
        await attested(self._client, seen, row.block_hash or "")
