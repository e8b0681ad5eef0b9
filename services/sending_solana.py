"""Sending on Solana: signed bytes read and set against what was prepared, handed to every node, and looked for until they can never land any more.

A blockhash may carry any number of transactions, so nothing is spent by it: what can happen once is the signature itself.
"""

from collections.abc import Mapping, Sequence
from decimal import Decimal

from solders.signature import Signature
from solders.transaction import VersionedTransaction

from core.money import CONTEXT
from core.refusals import WalletRefused
from core.wallet_vocabulary import WalletErrorCode as Code
from integrations.chains.errors import ChainError
from integrations.chains.json_rpc import JsonRpc
from integrations.chains.solana.addresses import SYSTEM_PROGRAM
from integrations.chains.solana.client import SolanaClient
from integrations.chains.solana.comparison import differences
from integrations.chains.solana.errors import ProblemCode, TransactionRefused
from integrations.chains.solana.instructions import (
    Other,
    SolTransfer,
    TokenAccountCreation,
    TokenTransfer,
    decode,
)
from integrations.chains.solana.messages import Commitment, Tip
from integrations.chains.solana.mints import read_token_account
from integrations.chains.solana.node import statuses_of, tip_of
from integrations.chains.solana.outcomes import Finding, Outcome, outcome
from integrations.chains.solana.wire import (
    UnreadableTransaction,
    from_base64,
    instructions_of,
    read_transaction,
    signature_of,
    signers_of,
    unsigned_by,
)
from models.prepared_transaction import PreparedTransactionDocument
from services.chain_votes import require_witnesses
from services.chains import Chains
from services.sending_families import Sighting, SightKind, Signed, Spending, TransferWish
from services.solana_transfers import COIN_DIGITS, HASH_BLOCKS, SolanaTransfers, problem_refused

_OLDEST_SLOTS = 1_000
"""A blockhash that is good now is of a block that is not older, however many slots had none."""
_NEVER = 2**63
RECIPIENT = "to"
"""Of the terms: the only wallet that gets something."""
_ADVANCE_NONCE = (4).to_bytes(4, "little")
_SIGNED_TEXTS: Mapping[str, str] = {
    "unreadable": "expected a signed transaction in base64",
    "unsigned": "a signature of the transaction is missing or wrong",
    "nonce": "this transaction lives by a nonce account and never expires; such ones are not sent from here",
}
_KINDS: Mapping[Outcome, SightKind] = {
    Outcome.PENDING: SightKind.UNKNOWN,
    Outcome.PROCESSED: SightKind.WAITING,
    Outcome.CONFIRMED: SightKind.INCLUDED,
    Outcome.FINALIZED: SightKind.INCLUDED,
    Outcome.FAILED: SightKind.FAILED,
    Outcome.EXPIRED: SightKind.EXPIRED,
}


class SolanaSending:
    """A SendingFamily (`services/sending_families.py`)."""

    def __init__(self, chains: Chains, transfers: SolanaTransfers) -> None:
        self._chains = chains
        self._transfers = transfers

    async def transfer(self, user_id: str, wish: TransferWish) -> PreparedTransactionDocument:
        return await self._transfers.transfer(user_id, wish)

    async def read(self, chain: str, text: str) -> Signed:
        client = self._chains.solana(chain)
        sent, raw = _signed(text)
        height, slot = await _bounds(client)
        recipients = await _recipients(client, _instructions(sent))
        return Signed(
            hash=signature_of(sent),
            raw=raw,
            sender=signers_of(sent.message)[0],
            spends=(signature_of(sent),),
            counterparties=recipients,
            terms={"last_valid": str(height), "slot": str(slot)}
            | ({RECIPIENT: recipients[0]} if len(recipients) == 1 else {}),
        )

    def differences(self, signed: Signed, prepared: PreparedTransactionDocument) -> Sequence[str]:
        wanted = read_transaction(from_base64(prepared.payload["transaction"])).message
        found = differences(wanted, read_transaction(signed.raw))
        return [each.sentence.rstrip(".") for each in found if not each.harmless]

    async def send(self, chain: str, raw: bytes, hash_: str) -> None:
        client = self._chains.solana(chain)
        try:
            await client.send(raw)
        except TransactionRefused as error:
            known = error.problem.code is ProblemCode.ALREADY_KNOWN or await _is_known(client, hash_)
            if not known:
                raise problem_refused(error.problem, field=["signed"]) from error

    def transaction_hash(self, given: str) -> str:
        try:
            return str(Signature.from_string(given))
        except ValueError:
            text = "expected the signature of a transaction: 64 bytes in Base58"
            raise WalletRefused(text, reason=Code.INVALID_INPUT, field=["hash"]) from None

    async def sight(self, chain: str, hash_: str, sent: Spending | None = None) -> Sighting:
        client = self._chains.solana(chain)
        terms = {} if sent is None else sent.terms
        last_valid, slot = int(terms.get("last_valid", _NEVER)), int(terms.get("slot", 0))
        found = await outcome(client, hash_, last_valid_block_height=last_valid, blockhash_slot=slot)
        if found.slot is None:
            may_land = sent is not None and found.outcome is Outcome.PENDING
            kind = SightKind.WAITING if may_land else _KINDS[found.outcome]
            return Sighting(kind, final=kind is SightKind.EXPIRED)
        return await self._landed(client, chain, hash_, found, found.slot)

    async def _landed(self, client: SolanaClient, chain: str, hash_: str, found: Finding, slot: int) -> Sighting:
        kind = _KINDS[found.outcome]
        if kind is SightKind.WAITING:
            return Sighting(kind)
        final = found.outcome in (Outcome.FINALIZED, Outcome.FAILED)
        after = self._chains.entries[chain].final_after
        passed = (await client.tip(Commitment.CONFIRMED)).slot - slot + 1
        told = await client.transaction(hash_)
        problem = found.problem if told is None or found.problem is None else told.problem or found.problem
        return Sighting(
            SightKind.INCLUDED if problem is None else SightKind.FAILED,
            confirmations=max(passed, after) if final else min(max(1, passed), after - 1),
            block=slot,
            fee=None if told is None else CONTEXT.scaleb(Decimal(told.cost), -COIN_DIGITS),
            final=final,
            error=None if problem is None else problem.text,
            error_values={} if problem is None else problem.values,
        )


def _signed(text: str) -> tuple[VersionedTransaction, bytes]:
    """A wholly signed transaction that ends with its blockhash. Raises WalletRefused."""
    try:
        raw = from_base64(text)
        sent = read_transaction(raw)
    except UnreadableTransaction:
        raise _not_sent("unreadable") from None
    if unsigned_by(sent):
        raise _not_sent("unsigned")
    first = _instructions(sent)[:1]
    if any(each.program == SYSTEM_PROGRAM and each.data[:4] == _ADVANCE_NONCE for each in first):
        raise _not_sent("nonce")
    return sent, raw


def _not_sent(why: str) -> WalletRefused:
    return WalletRefused(_SIGNED_TEXTS[why], reason=Code.TRANSACTION_REFUSED, field=["signed"])


def _instructions(sent: VersionedTransaction) -> list[Other]:
    """As far as its own accounts tell them."""
    try:
        return instructions_of(sent.message)
    except UnreadableTransaction:
        return []


async def _bounds(client: SolanaClient) -> tuple[int, int]:
    """The last height at which anything signed by now may land, and a slot before which nothing of it did. Raises ChainError."""
    told = await client.pool.ask_all(lambda node: tip_of(node, Commitment.PROCESSED))
    tips = [each for each in told.values() if isinstance(each, Tip)]
    if not tips:
        raise client.unavailable(told)
    height = max(tip.height for tip in tips) + HASH_BLOCKS
    return height, max(0, min(tip.slot for tip in tips) - _OLDEST_SLOTS)


async def _recipients(client: SolanaClient, instructions: Sequence[Other]) -> tuple[str, ...]:
    """Whose wallets get something, as far as that is plain: owners of token accounts are asked for. Raises ChainError."""
    decoded = [decode(each) for each in instructions]
    found = {each.target for each in decoded if isinstance(each, SolTransfer)}
    opened = {each.account: each.owner for each in decoded if isinstance(each, TokenAccountCreation)}
    targets = {each.target for each in decoded if isinstance(each, TokenTransfer)}
    found |= {opened[target] for target in targets & opened.keys()}
    asked = sorted(targets - opened.keys())
    for account in await client.accounts(asked) if asked else ():
        held = None if account is None else read_token_account(account)
        found |= set() if held is None else {held.owner}
    return tuple(sorted(found))


async def _is_known(client: SolanaClient, signature: str) -> bool:
    """Whether any node knows that it landed; that none does is only what enough of them say. Raises ChainError."""

    async def ask(node: JsonRpc) -> bool:
        _, (status,) = await statuses_of(node, [signature], search_history=True)
        return status is not None

    told = await client.pool.ask_all(ask)
    if all(isinstance(each, ChainError) for each in told.values()):
        raise client.unavailable(told)
    if any(each is True for each in told.values()):
        return True
    require_witnesses(client.chain, told)
    return False
