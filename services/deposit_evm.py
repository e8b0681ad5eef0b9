"""Deposits on EVM chains, as `deposit_chain.py` wants them: transactions have one sender, by whom the house's own movements are told apart."""

from collections.abc import Awaitable, Callable, Collection, Mapping

from core.money import CONTEXT
from integrations.chains.errors import ChainError
from integrations.chains.evm.client import EvmClient
from integrations.chains.evm.messages import EvmBlock
from models import withdrawal
from models.deposit import DepositDocument
from models.house_transfer import HouseTransferDocument
from services.deposit_chain import ChainBlock
from services.deposit_forms import Form, Sighting, ledger_units
from services.deposit_sightings import FeePaid, Sightings, attested, in_block, transactions_of
from services.house_transfers import HouseWallets, Movement, Sorted, fee_row, movement_row, say_unassigned


class EvmDeposits:
    """Of one chain; `forms` is what is taken there, by contract."""

    def __init__(self, client: EvmClient, forms: Mapping[str | None, Form]) -> None:
        self._client = client
        self._forms = forms

    async def heads(self) -> Collection[int]:
        return [head.number for head in (await self._client.heads_of_all()).values() if isinstance(head, EvmBlock)]

    async def blocks_at(self, number: int) -> Mapping[str, EvmBlock | ChainError | None]:
        return await self._client.blocks_of_all(number)

    async def brought(self, block: ChainBlock, wallets: Callable[[], Awaitable[HouseWallets]]) -> Sorted:
        if not isinstance(block, EvmBlock):
            raise TypeError("a block of another family")
        transactions = await transactions_of(self._client, block)
        house = await wallets()
        return await _sort_out(house, block, await in_block(self._client, block, transactions, self._forms, house))

    async def attested(self, row: DepositDocument, form: Form) -> None:
        units = int(CONTEXT.scaleb(row.amount, form.network.decimals))
        seen = Sighting(form, row.sender, row.address, units, row.hash, row.place)
        await attested(self._client, seen, row.block_hash or "")


async def _sort_out(wallets: HouseWallets, block: EvmBlock, found: Sightings) -> Sorted:
    """Tell deposits from the house's own movements. What it cannot place is left out, and said in the log."""
    paid_out = {
        hash_
        for hash_ in {each.hash for each in found.moved} | {each.hash for each in found.fees}
        if wallets.hot is not None and await withdrawal.by_attempt(hash_) is not None
    }
    deposits, transfers = [], []
    for each in found.moved:
        is_payout = each.sender == wallets.hot and each.hash in paid_out
        if each.address in wallets.deposits and (each.sender not in wallets or is_payout):
            deposits.append(each)
        elif each.sender in wallets and each.address in wallets:
            transfers += _movement(wallets, block, each)
        elif not is_payout:
            asset = each.form.asset.code
            say_unassigned(wallets, each.hash, asset, each.units, sender=each.sender, recipient=each.address)
    for fee in found.fees:
        if not (fee.payer == wallets.hot and fee.hash in paid_out):
            transfers += _fee(wallets, block, fee)
    return Sorted(deposits, transfers)


def _movement(wallets: HouseWallets, block: EvmBlock, moved: Sighting) -> list[HouseTransferDocument]:
    giving, taking = wallets.reserve(moved.sender), wallets.reserve(moved.address)
    units = ledger_units(moved)
    if giving == taking or not units:
        return []
    return [
        movement_row(wallets, block, Movement(moved.hash, moved.place, giving, taking, moved.form.asset.code, units))
    ]


def _fee(wallets: HouseWallets, block: EvmBlock, fee: FeePaid) -> list[HouseTransferDocument]:
    return [fee_row(wallets, block, fee.hash, wallets.reserve(fee.payer), fee.units)] if fee.units else []
