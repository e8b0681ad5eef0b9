"""What a block of an EVM chain brings to deposit addresses: coins by its transactions, tokens by its logs."""

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass

from eth_utils.address import to_checksum_address

from integrations.chains.errors import ChainError, NodesContradict
from integrations.chains.evm.client import EvmClient
from integrations.chains.evm.messages import (
    EvmBlock,
    EvmLog,
    EvmReceipt,
    EvmTransactionInfo,
    read_receipt,
    read_transaction,
)
from models.asset import AssetEntry, AssetNetworkEntry

TRANSFER = "0xddf252ad1be2c89b69c2b068fc378daa952ba7f163c4a11628f55a4df523b3ef"
"""Topic of ERC-20's Transfer(address,address,uint256)."""
COINS = "coins"
"""The place of a transaction's own value."""


@dataclass(frozen=True, slots=True)
class Form:
    """An asset as it exists on a chain."""

    asset: AssetEntry
    network: AssetNetworkEntry


@dataclass(frozen=True, slots=True)
class Sighting:
    """What came in: so many of the chain's units of this form, to this address, at this place of a transaction."""

    form: Form
    address: str
    units: int
    hash: str
    place: str


def forms_of(assets: Collection[AssetEntry], chain: str) -> dict[str | None, Form]:
    """What can be deposited on a chain, by contract; None: its own coin."""
    return {
        network.contract: Form(asset, network)
        for asset in assets
        for network in asset.networks
        if network.chain == chain and network.deposit_enabled
    }


async def in_block(
    client: EvmClient,
    block: EvmBlock,
    transactions: Sequence[EvmTransactionInfo],
    forms: Mapping[str | None, Form],
    ours: Collection[str],
) -> list[Sighting]:
    """What this block brings to these addresses. Raises ChainError."""
    found = [
        Sighting(forms[None], each.to, each.value, each.hash, COINS)
        for each in transactions
        if None in forms and each.to is not None and each.value and each.to in ours
    ]
    found = [each for each in found if await _succeeded(client, each.hash, block)]
    contracts = [contract for contract in forms if contract is not None]
    if contracts:
        logs = await client.logs([TRANSFER], addresses=contracts, block_hash=block.hash)
        found += _of_logs(logs, block, forms, ours)
    return found


async def agreed(client: EvmClient, sighting: Sighting, block_hash: str) -> bool:
    """Whether every node that answers has the sighting in this block. Raises NodesContradict where they have different blocks."""
    said = await client.ask_every("eth_getTransactionReceipt", [sighting.hash], read_receipt)
    answers = [each for each in said.values() if not isinstance(each, ChainError)]
    if not answers:
        raise next((each for each in said.values() if isinstance(each, ChainError)), ChainError("no node answers"))
    known = [each for each in answers if each is not None]
    if len(known) < len(answers):
        return False
    if any(receipt.block_hash != block_hash for receipt in known):
        raise NodesContradict(f"nodes of {client.key} have {sighting.hash} in different blocks")
    if sighting.place == COINS:
        return all(receipt.success for receipt in known) and await _coins_agreed(client, sighting)
    return all(_has_log(receipt, sighting) for receipt in known)


async def _coins_agreed(client: EvmClient, sighting: Sighting) -> bool:
    said = await client.ask_every("eth_getTransactionByHash", [sighting.hash], read_transaction)
    answers = [each for each in said.values() if not isinstance(each, ChainError)]
    return bool(answers) and all(
        each is not None and (each.to, each.value) == (sighting.address, sighting.units) for each in answers
    )


def _has_log(receipt: EvmReceipt, sighting: Sighting) -> bool:
    wanted = (sighting.form.network.contract, sighting.address, sighting.units)
    return any(str(log.index) == sighting.place and _moved(log) == wanted for log in receipt.logs)


async def _succeeded(client: EvmClient, hash_: str, block: EvmBlock) -> bool:
    receipt = await client.receipt(hash_)
    return receipt is not None and receipt.success and receipt.block_hash == block.hash


def _of_logs(
    logs: Sequence[EvmLog], block: EvmBlock, forms: Mapping[str | None, Form], ours: Collection[str]
) -> Iterator[Sighting]:
    for log in logs:
        moved = _moved(log)
        if log.block_hash == block.hash and moved is not None and moved[1] in ours and moved[0] in forms and moved[2]:
            yield Sighting(forms[moved[0]], moved[1], moved[2], log.transaction, str(log.index))


def _moved(log: EvmLog) -> tuple[str, str, int] | None:
    """Contract, recipient and units of a Transfer; None for anything else."""
    if len(log.topics) != 3 or log.topics[0] != TRANSFER or len(log.data) != 32:
        return None
    return log.address, str(to_checksum_address(log.topics[2][-40:])), int.from_bytes(log.data, "big")
