"""Questions to one node of Solana, each with its checked answer. `SolanaClient` chooses which node, or asks all of them.

All raise ProviderFailed when another node may know better, NodeRefused when every node would say the same.
"""

from collections.abc import Sequence

from integrations.chains.errors import Failure, NodeRefused, ProviderFailed
from integrations.chains.json_rpc import Call, JsonRpc
from integrations.chains.reserves import ChainReserves
from integrations.chains.shapes import as_text, malformed
from integrations.chains.solana import reading
from integrations.chains.solana.addresses import TOKEN_PROGRAMS
from integrations.chains.solana.errors import (
    TransactionRefused,
    problem_of,
    refused_outright,
    signature_wrong,
)
from integrations.chains.solana.landed import landed
from integrations.chains.solana.listing import since
from integrations.chains.solana.messages import (
    Block,
    ChainTransaction,
    Commitment,
    Holdings,
    SignatureRecord,
    SignatureStatus,
    Simulation,
    Tip,
)
from integrations.chains.solana.wire import (
    UnreadableTransaction,
    instructions_of,
    read_transaction,
    signature_of,
    to_base64,
)

MOST_RECORDS = 1000
"""Of getSignaturesForAddress."""
NEWEST_VERSION = 0
"""The newest kind of transaction that is read; nodes refuse to tell newer ones."""
_PREFLIGHT_FAILED, _SIGNATURE_WRONG, _INVALID = -32002, -32003, -32602
_LACKS_IT = frozenset({-32001, -32004, -32010, -32011, -32014, -32016})
"""It has dropped the block, has not got it yet, keeps no such index or history, or is behind."""
_NO_BLOCK = frozenset({-32007, -32009})


async def call(node: JsonRpc, method: str, *params: object) -> object:
    """A result as it was told; a node that lacks what was asked for is a failed one."""
    try:
        return await node.call(method, *params)
    except NodeRefused as refused:
        raise _sorted_out(refused) from None


def _sorted_out(refused: NodeRefused) -> Exception:
    if refused.code in _LACKS_IT:
        return ProviderFailed(Failure.BEHIND, f"does not have what was asked for (error {refused.code})")
    return refused


async def tip_of(node: JsonRpc, commitment: Commitment) -> Tip:
    """The newest block."""
    return reading.tip(await call(node, "getEpochInfo", {"commitment": commitment}))


async def first_slot_of(node: JsonRpc) -> int:
    """The oldest slot that it still has."""
    return reading.as_u64(await call(node, "getFirstAvailableBlock"), "first available block")


async def holdings_of(node: JsonRpc, address: str, commitment: Commitment) -> Holdings:
    """Lamports and token accounts of an address, in one batch; as of the lowest slot that a part of it was told for."""
    at = {"commitment": commitment}
    parsed = {**at, "encoding": "jsonParsed"}
    calls = [
        Call("getBalance", [address, at]),
        *(Call("getTokenAccountsByOwner", [address, {"programId": each}, parsed]) for each in TOKEN_PROGRAMS),
    ]
    answers = await node.batch(calls)
    for answer in answers:
        if isinstance(answer, NodeRefused):
            raise answer
    slot, value = reading.in_context(answers[0], "balance")
    tokens = []
    for program, answer in zip(TOKEN_PROGRAMS, answers[1:], strict=True):
        told_at, found = reading.token_holdings(answer, address, program)
        slot = min(slot, told_at)
        tokens += found
    return Holdings(reading.as_u64(value, "balance"), tuple(tokens), slot)


async def reserves_of(node: JsonRpc, addresses: Sequence[str]) -> ChainReserves:
    """What these addresses own, finalized, in all their token accounts; the time is that of the slot, where the node still tells it."""
    owned: dict[str, dict[str | None, int | None]] = {}
    slots = []
    for address in addresses:
        found = await holdings_of(node, address, Commitment.FINALIZED)
        units: dict[str | None, int | None] = {None: found.lamports}
        for token in found.tokens:
            units[token.mint] = (units.get(token.mint) or 0) + token.amount
        owned[address] = units
        slots.append(found.slot)
    slot = min(slots)
    try:
        time_ms = reading.as_time_ms(await call(node, "getBlockTime", slot), "block time")
    except NodeRefused:
        time_ms = None
    return ChainReserves(slot, None, time_ms, owned)


async def statuses_of(
    node: JsonRpc, signatures: Sequence[str], *, search_history: bool
) -> tuple[int, list[SignatureStatus | None]]:
    """The slot it knows up to, and how far each transaction is. Without a search in its history it forgets after about 150 slots."""
    options = {"searchTransactionHistory": search_history}
    return reading.statuses(await call(node, "getSignatureStatuses", list(signatures), options), len(signatures))


async def records_of(
    node: JsonRpc,
    address: str,
    commitment: Commitment,
    *,
    before: str | None = None,
    until: str | None = None,
    limit: int,
) -> list[SignatureRecord]:
    """A page of an address's history, the newest first."""
    options: dict[str, object] = {"commitment": commitment, "limit": limit}
    if before is not None:
        options["before"] = before
    if until is not None:
        options["until"] = until
    return reading.signature_records(await call(node, "getSignaturesForAddress", address, options))


async def history_of(node: JsonRpc, address: str, commitment: Commitment, *, since_slot: int) -> list[SignatureRecord]:
    """The whole history of an address from a slot on, the newest first."""

    async def page(before: str | None) -> list[SignatureRecord]:
        return await records_of(node, address, commitment, before=before, limit=MOST_RECORDS)

    return await since(since_slot, page, most=MOST_RECORDS)


async def transaction_of(node: JsonRpc, signature: str, commitment: Commitment) -> ChainTransaction | None:
    """A transaction that is on the chain; None when it does not know it."""
    options = {"commitment": commitment, "encoding": "base64", "maxSupportedTransactionVersion": NEWEST_VERSION}
    answer = await call(node, "getTransaction", signature, options)
    return None if answer is None else landed(answer, signature)


async def block_of(node: JsonRpc, slot: int, commitment: Commitment) -> Block | None:
    """A block with its signatures; None for a slot without one."""
    options = {
        "commitment": commitment,
        "transactionDetails": "signatures",
        "rewards": False,
        "maxSupportedTransactionVersion": NEWEST_VERSION,
    }
    try:
        answer = await call(node, "getBlock", slot, options)
    except NodeRefused as refused:
        if refused.code in _NO_BLOCK:
            return None
        raise
    return None if answer is None else reading.block(answer, slot)


async def simulate_at(node: JsonRpc, raw: bytes, commitment: Commitment) -> Simulation:
    """What would come of a transaction, signed or not. Raises TransactionRefused besides."""
    programs = programs_of(raw)
    options = {"encoding": "base64", "sigVerify": False, "commitment": commitment}
    try:
        answer = await call(node, "simulateTransaction", to_base64(raw), options)
    except NodeRefused as refused:
        raise _refusal(refused, programs) from None
    return reading.simulation(answer, programs)


async def send_to(node: JsonRpc, raw: bytes, preflight: Commitment) -> str:
    """The signature of a transaction that it has taken. Raises TransactionRefused besides."""
    options = {"encoding": "base64", "preflightCommitment": preflight}
    try:
        told = as_text(await call(node, "sendTransaction", to_base64(raw), options), "signature")
    except NodeRefused as refused:
        raise _refusal(refused, programs_of(raw)) from None
    if told != signature_of(read_transaction(raw)):
        raise malformed("signature", "that of the transaction")
    return told


def programs_of(raw: bytes) -> tuple[str, ...]:
    """The program of each instruction; empty when they are named in lookup tables. Raises UnreadableTransaction."""
    message = read_transaction(raw).message
    try:
        return tuple(each.program for each in instructions_of(message))
    except UnreadableTransaction:
        return ()


def _refusal(refused: NodeRefused, programs: Sequence[str]) -> Exception:
    if refused.code == _PREFLIGHT_FAILED:
        error = refused.data.get("err") if isinstance(refused.data, dict) else None
        return TransactionRefused(problem_of(error, programs))
    if refused.code == _SIGNATURE_WRONG:
        return TransactionRefused(signature_wrong())
    if refused.code == _INVALID:
        return TransactionRefused(refused_outright(refused.message))
    return refused
