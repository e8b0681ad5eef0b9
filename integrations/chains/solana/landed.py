"""A transaction on the chain, from getTransaction in base64: its message is checked by its signatures, its balances for their shape.

What a node cannot invent: who signed, the instructions, the memos. What it can: that the transaction landed, its balances. So who credits money
by it asks more than one node (`SolanaClient.agreed_transaction`).
"""

from collections.abc import Sequence

from solders.message import MessageV0
from solders.pubkey import Pubkey
from solders.transaction import VersionedTransaction

from integrations.chains.shapes import JsonObject, as_int, as_list, as_object, malformed
from integrations.chains.solana.addresses import TOKEN_PROGRAM, TOKEN_PROGRAMS
from integrations.chains.solana.errors import problem_of
from integrations.chains.solana.instructions import Memo, decode
from integrations.chains.solana.messages import ChainTransaction, TokenChange
from integrations.chains.solana.reading import as_address, as_amount, as_bytes, as_decimals, as_time_ms, as_u64
from integrations.chains.solana.wire import (
    UnreadableTransaction,
    instructions_of,
    read_transaction,
    signature_of,
    signers_of,
    unsigned_by,
)


def landed(answer: object, signature: str) -> ChainTransaction:
    """The transaction that was asked for. Raises ProviderFailed(MALFORMED), also for one whose signatures are not right."""
    found = as_object(answer, "transaction")
    meta = as_object(found.get("meta"), "transaction.meta")
    sent = _signed(found.get("transaction"), signature)
    looked_up = _looked_up(meta, sent)
    keys = [str(key) for key in (*sent.message.account_keys, *looked_up)]
    if "err" not in meta:
        raise malformed("transaction.meta", "err")
    error = meta["err"]
    try:
        instructions = instructions_of(sent.message, looked_up)
    except UnreadableTransaction:
        raise malformed("transaction", "accounts for all its instructions") from None
    programs = [each.program for each in instructions]
    decoded = map(decode, instructions)
    return ChainTransaction(
        signature=signature,
        slot=as_u64(found.get("slot"), "transaction.slot"),
        time_ms=as_time_ms(found.get("blockTime"), "transaction.blockTime"),
        problem=None if error is None else problem_of(error, programs),
        fee=as_u64(meta.get("fee"), "transaction.fee"),
        signers=signers_of(sent.message),
        lamports=_lamports(meta, keys),
        tokens=_token_changes(meta, keys),
        memos=tuple(each.text for each in decoded if isinstance(each, Memo)),
    )


def _signed(value: object, signature: str) -> VersionedTransaction:
    try:
        sent = read_transaction(as_bytes(value, "transaction"))
    except UnreadableTransaction:
        raise malformed("transaction", "a transaction") from None
    if signature_of(sent) != signature or unsigned_by(sent):
        raise malformed("transaction", "the one that was asked for, with its signatures")
    return sent


def _looked_up(meta: JsonObject, sent: VersionedTransaction) -> list[Pubkey]:
    """The accounts of lookup tables, the writable ones first; as many as the message names."""
    tables = sent.message.address_table_lookups if isinstance(sent.message, MessageV0) else []
    if not tables:
        return []
    loaded = as_object(meta.get("loadedAddresses"), "transaction.loadedAddresses")
    found: list[Pubkey] = []
    for kind in ("writable", "readonly"):
        listed = as_list(loaded.get(kind), f"transaction.loadedAddresses.{kind}")
        named = sum(len(t.writable_indexes if kind == "writable" else t.readonly_indexes) for t in tables)
        if len(listed) != named:
            raise malformed(f"transaction.loadedAddresses.{kind}", f"{named} addresses")
        found += [Pubkey.from_string(as_address(each, "transaction.loadedAddresses")) for each in listed]
    return found


def _lamports(meta: JsonObject, keys: Sequence[str]) -> dict[str, tuple[int, int]]:
    before = as_list(meta.get("preBalances"), "transaction.preBalances")
    after = as_list(meta.get("postBalances"), "transaction.postBalances")
    if not len(keys) == len(before) == len(after):
        raise malformed("transaction.preBalances", "one for each account")
    return {
        key: (as_u64(was, "transaction.preBalances"), as_u64(is_, "transaction.postBalances"))
        for key, was, is_ in zip(keys, before, after, strict=True)
    }


class _Side:
    """One entry of preTokenBalances or postTokenBalances."""

    def __init__(self, value: object, keys: Sequence[str]) -> None:
        found = as_object(value, "token balance")
        index = as_int(found.get("accountIndex"), "token balance.accountIndex")
        if index >= len(keys):
            raise malformed("token balance.accountIndex", "an account of the transaction")
        amount = as_object(found.get("uiTokenAmount"), "token balance.uiTokenAmount")
        owner, program = found.get("owner"), found.get("programId")
        self.account = keys[index]
        self.mint = as_address(found.get("mint"), "token balance.mint")
        self.owner = None if owner is None else as_address(owner, "token balance.owner")
        self.program = TOKEN_PROGRAM if program is None else as_address(program, "token balance.programId")
        self.amount = as_amount(amount.get("amount"), "token balance.amount")
        self.decimals = as_decimals(amount.get("decimals"))
        if self.program not in TOKEN_PROGRAMS:
            raise malformed("token balance.programId", "a token program")


def _sides(meta: JsonObject, name: str, keys: Sequence[str]) -> dict[tuple[str, str], _Side]:
    listed = meta.get(name)
    found = [_Side(each, keys) for each in ([] if listed is None else as_list(listed, f"transaction.{name}"))]
    by_account = {(each.account, each.mint): each for each in found}
    if len(by_account) != len(found):
        raise malformed(f"transaction.{name}", "each account once")
    return by_account


def _token_changes(meta: JsonObject, keys: Sequence[str]) -> tuple[TokenChange, ...]:
    """By account and mint: an account closed and opened again in one transaction may be of another mint afterwards."""
    before, after = _sides(meta, "preTokenBalances", keys), _sides(meta, "postTokenBalances", keys)
    return tuple(_change(before.get(key), after.get(key)) for key in sorted(before.keys() | after.keys()))


def _change(was: _Side | None, is_: _Side | None) -> TokenChange:
    known = is_ or was
    if known is None:
        raise malformed("token balance", "a side")
    if was and is_ and (was.decimals, was.program) != (is_.decimals, is_.program):
        raise malformed("token balance", "the same token before and after")
    return TokenChange(
        account=known.account,
        program=known.program,
        mint=known.mint,
        decimals=known.decimals,
        before=0 if was is None else was.amount,
        after=0 if is_ is None else is_.amount,
        owner_before=None if was is None else was.owner,
        owner_after=None if is_ is None else is_.owner,
    )
