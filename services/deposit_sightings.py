"""What a block of an EVM chain moves to and from addresses of the house: coins by its transactions, tokens by its logs, and the fees that it took from them.

A node that hides something, or has not indexed it yet, must not make a deposit be missed: logs are asked of every node and added up, and what nobody can tell
now is asked for again. A node that makes something up is found out before it is credited (`attested`); what the house's own transactions did and cost is what enough nodes
tell alike.

The place of a token is the log's place within the transaction, which another block does not change, with what the log says: a contract may say something
else there when it is run again.
"""

from collections.abc import Container, Iterable, Mapping, Sequence
from hashlib import sha256

from eth_utils.address import to_checksum_address

from integrations.chains.errors import (
    ChainError,
    ChainUnavailable,
    Failure,
    NodeRefused,
    NodesContradict,
    ProviderFailed,
)
from integrations.chains.evm.client import EvmClient
from integrations.chains.evm.messages import (
    EvmBlock,
    EvmLog,
    EvmReceipt,
    EvmTransactionInfo,
    read_full_block,
    read_logs,
    read_receipt,
    read_transaction,
)
from integrations.chains.json_rpc import Call
from services.chain_votes import WITNESSES
from services.deposit_forms import Form, Sighting, require_possible
from services.evm_fees import agreed_receipts
from services.house_sorting import FeePaid, Sightings

TRANSFER = "0xddf252ad1be2c89b69c2b068fc378daa952ba7f163c4a11628f55a4df523b3ef"
"""Topic of ERC-20's Transfer(address,address,uint256)."""
COINS = "coins"
"""The place of a transaction's own value."""


async def transactions_of(client: EvmClient, block: EvmBlock) -> tuple[EvmTransactionInfo, ...]:
    """The transactions of a block, whole, and all of them. Raises ChainError."""

    def read(value: object) -> tuple[EvmTransactionInfo, ...]:
        found = read_full_block(value)
        if found is None:
            raise ProviderFailed(Failure.BEHIND, f"has not got block {block.number} yet")
        if found[0] != block or tuple(each.hash for each in found[1]) != block.transactions:
            raise ProviderFailed(Failure.CONTRADICTS, f"has another block {block.number} than the others")
        for each in found[1]:
            require_possible(each.value, each.hash)
        return found[1]

    return await client.ask("eth_getBlockByHash", [block.hash, True], read)


async def in_block(
    client: EvmClient,
    block: EvmBlock,
    transactions: Sequence[EvmTransactionInfo],
    forms: Mapping[str | None, Form],
    ours: Container[str],
) -> Sightings:
    """What this block moves to and from these addresses. Raises ChainError."""
    touched = [each for each in transactions if each.sender in ours or (each.value and each.to in ours)]
    logs = [log for log in await _logs(client, block, forms) if _touches(log, ours)]
    hashes = dict.fromkeys([*(each.hash for each in touched), *(log.transaction for log in logs)])
    own = [each for each in touched if each.sender in ours]
    receipts = await _receipts(client, block, forms, list(hashes))
    receipts |= await agreed_receipts(client, block.hash, own)
    if any(log not in receipts[log.transaction].logs for log in logs):
        raise NodesContradict(f"nodes of {client.key} tell different logs of block {block.number}")
    moved = [
        Sighting(forms[None], each.sender, each.to, each.value, each.hash, COINS)
        for each in touched
        if None in forms and each.to is not None and each.value and receipts[each.hash].success
    ]
    for hash_ in hashes:
        moved += [each for each in _of_logs(receipts[hash_], forms) if each.address in ours or each.sender in ours]
    fees = [FeePaid(each.hash, each.sender, receipts[each.hash].fee) for each in own]
    return Sightings(tuple(moved), tuple(fees))


async def attested(client: EvmClient, sighting: Sighting, block_hash: str) -> None:
    """Returns when every node that can tell has the sighting in this block, and as many can tell as it takes.

    Raises:
        NodesContradict: one has the transaction in another block, or with other content.
        ChainUnavailable: too few can tell.
    """
    receipts = await client.ask_every("eth_getTransactionReceipt", [sighting.hash], read_receipt)
    infos: Mapping[str, EvmTransactionInfo | ChainError | None] = {}
    if sighting.place == COINS:
        infos = await client.ask_every("eth_getTransactionByHash", [sighting.hash], read_transaction)
    silent: dict[str, str] = {}
    for name, receipt in receipts.items():
        info = infos.get(name) if sighting.place == COINS else None
        failed = next((each for each in (receipt, info) if isinstance(each, ChainError)), None)
        if failed is not None:
            silent[name] = str(failed)
        elif not isinstance(receipt, EvmReceipt) or (sighting.place == COINS and info is None):
            silent[name] = f"does not know {sighting.hash}"
        elif receipt.block_hash != block_hash or not _says(receipt, info, sighting):
            raise NodesContradict(f"{name} tells something else of {sighting.hash} than was seen")
    if len(receipts) - len(silent) < max(1, min(WITNESSES, len(receipts))):
        raise ChainUnavailable(client.key, silent)


def _says(receipt: EvmReceipt, info: EvmTransactionInfo | ChainError | None, sighting: Sighting) -> bool:
    if sighting.place == COINS:
        wanted = (sighting.sender, sighting.address, sighting.units)
        is_same = isinstance(info, EvmTransactionInfo) and (info.sender, info.to, info.value) == wanted
        return receipt.success and is_same
    return sighting in _of_logs(receipt, {sighting.form.network.contract: sighting.form})


async def _logs(client: EvmClient, block: EvmBlock, forms: Mapping[str | None, Form]) -> Iterable[EvmLog]:
    """Transfers of tokens that are known here, as far as any node tells of them."""
    contracts = [contract for contract in forms if contract is not None]
    if not contracts:
        return ()
    wanted = {"topics": [TRANSFER], "address": contracts, "blockHash": block.hash}

    def read(value: object) -> tuple[EvmLog, ...]:
        told = tuple(read_logs(value))
        _require_possible(told, forms)
        return told

    said = await client.ask_every("eth_getLogs", [wanted], read)
    failures = {name: str(answer) for name, answer in said.items() if isinstance(answer, ChainError)}
    if len(failures) == len(said):
        raise ChainUnavailable(client.key, failures)
    told = [log for answer in said.values() if not isinstance(answer, ChainError) for log in answer]
    return dict.fromkeys(log for log in told if log.block_hash == block.hash)


async def _receipts(
    client: EvmClient, block: EvmBlock, forms: Mapping[str | None, Form], hashes: Sequence[str]
) -> dict[str, EvmReceipt]:
    """Of these transactions of the block; of one node, for all. A node that has not got them is passed over."""

    def read(value: object) -> EvmReceipt:
        receipt = read_receipt(value)
        if receipt is None or receipt.block_hash != block.hash:
            raise ProviderFailed(Failure.BEHIND, f"has not got the receipts of block {block.number} yet")
        require_possible(receipt.fee, receipt.hash)
        _require_possible(receipt.logs, forms)
        return receipt

    if not hashes:
        return {}
    found = await client.batch([Call("eth_getTransactionReceipt", [hash_]) for hash_ in hashes], read)
    for receipt in found:
        if isinstance(receipt, NodeRefused):
            raise receipt
    return {receipt.hash: receipt for receipt in found if isinstance(receipt, EvmReceipt)}


def _of_logs(receipt: EvmReceipt, forms: Mapping[str | None, Form]) -> list[Sighting]:
    """The tokens that a transaction moved."""
    found = []
    for place, log in enumerate(receipt.logs if receipt.success else ()):
        moved = _moved(log)
        if moved is not None and log.address in forms and moved[2]:
            sender, address, units = moved
            told = sha256(f"{log.address}:{sender}:{address}:{units}".encode()).hexdigest()[:16]
            found.append(Sighting(forms[log.address], sender, address, units, receipt.hash, f"log-{place}-{told}"))
    return found


def _require_possible(logs: Iterable[EvmLog], forms: Mapping[str | None, Form]) -> None:
    """Raises ProviderFailed where one of these tokens moves in amounts that there cannot be."""
    for each in logs:
        moved = _moved(each)
        if moved is not None and each.address in forms:
            require_possible(moved[2], each.transaction)


def _touches(log: EvmLog, ours: Container[str]) -> bool:
    moved = _moved(log)
    return moved is not None and (moved[0] in ours or moved[1] in ours)


def _moved(log: EvmLog) -> tuple[str, str, int] | None:
    """Sender, recipient and units of a Transfer; None for anything else."""
    if len(log.topics) != 3 or log.topics[0] != TRANSFER or len(log.data) != 32:
        return None
    sender, address = (str(to_checksum_address(topic[-40:])) for topic in log.topics[1:])
    return sender, address, int.from_bytes(log.data, "big")
