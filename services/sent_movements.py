"""What the bytes of a signed transaction take from its sender, as far as they tell: coins, and tokens that are transferred plainly. What else a contract or a program would
do is not foreseen, and what cannot be read moves nothing.
"""

from collections.abc import Sequence
from typing import NamedTuple

from core.refusals import WalletRefused
from core.vocabulary import ChainFamily
from core.wallet_vocabulary import EffectKind
from events.token import TokenState
from integrations.chains.bitcoin.addresses import NotAnAddress, address_of, parse_address
from integrations.chains.bitcoin.transactions import NotReadable, parse_transaction
from integrations.chains.solana.instructions import SolTransfer, TokenTransfer, decode
from integrations.chains.solana.wire import UnreadableTransaction, instructions_of, read_transaction
from models.chain import ChainEntry
from models.chain_transaction import ChainTransactionDocument
from services.bitcoin_sightings import FEE, SPENT
from services.chain_addresses import bitcoin_network
from services.evm_terms import Draft
from services.sending_solana import RECIPIENT
from services.signed_transactions import read_signed
from services.tokens import Tokens
from services.transaction_effects import effects_of

COIN = "coin"


class Outflow(NamedTuple):
    """So many smallest units of a token that leave the sender; `to`: who gets them, None where there are several or it is not known. `part` tells it from others of
    its transaction; what `stays` comes back to the sender."""

    part: str
    token: TokenState
    units: int
    to: str | None
    stays: bool = False


async def outflows(row: ChainTransactionDocument, entry: ChainEntry, tokens: Tokens) -> Sequence[Outflow]:
    """Of a transaction that was sent from here, the coin first. Raises ChainError where a token must be asked for its words."""
    match entry.family:
        case ChainFamily.EVM:
            return await _of_evm(row, tokens)
        case ChainFamily.BITCOIN:
            return _of_bitcoin(row, entry, tokens)
        case ChainFamily.SOLANA:
            return _of_solana(row, tokens)


async def _of_evm(row: ChainTransactionDocument, tokens: Tokens) -> list[Outflow]:
    try:
        signed = read_signed("0x" + row.raw.hex())
    except WalletRefused:
        return []
    if signed.to is None:
        return []
    draft = Draft(signed.sender, signed.to, signed.value, signed.data)
    effects = await effects_of(tokens.coin(row.chain), draft, lambda contract: tokens.describe(row.chain, contract))
    return [
        Outflow(
            COIN if effect.token.contract is None else "token",
            TokenState(**effect.token.model_dump()),
            int(effect.units),
            effect.to,
            effect.to == row.sender,
        )
        for effect in effects
        if effect.kind is EffectKind.TRANSFER and effect.sender == row.sender
        if effect.token is not None and effect.to is not None and effect.units not in (None, "0")
    ]


def _of_bitcoin(row: ChainTransactionDocument, entry: ChainEntry, tokens: Tokens) -> list[Outflow]:
    """What others get, the fee left out; where others spend with the sender, what the sender has less."""
    network = bitcoin_network(entry)
    try:
        own, tx = parse_address(row.sender, network).script, parse_transaction(row.raw)
    except (NotAnAddress, NotReadable):
        return []
    coin = tokens.coin(row.chain)
    paid = [each for each in tx.outputs if each.script != own]
    total = sum(each.sats for each in tx.outputs)
    kept = total - sum(each.sats for each in paid)
    if not paid:
        return [Outflow(COIN, coin, kept, None, stays=True)]
    named = {address for each in paid if (address := address_of(each.script, network)) is not None}
    to = named.pop() if len(named) == 1 else None
    spent, fee = (int(row.terms.get(name, 0)) for name in (SPENT, FEE))
    is_alone = not spent or spent == total + fee
    units = total - kept if is_alone else spent - kept
    return [Outflow(COIN, coin, units, to)] if units > 0 else []


def _of_solana(row: ChainTransactionDocument, tokens: Tokens) -> list[Outflow]:
    try:
        known = [decode(each) for each in instructions_of(read_transaction(row.raw).message)]
    except UnreadableTransaction:
        return []
    to = row.terms.get(RECIPIENT)
    coins = sum(
        each.lamports
        for each in known
        if isinstance(each, SolTransfer) and each.source == row.sender and each.target != row.sender
    )
    found = [Outflow(COIN, tokens.coin(row.chain), coins, to)] if coins else []
    units: dict[tuple[str, int], int] = {}
    for each in known:
        if isinstance(each, TokenTransfer) and each.authority == row.sender and each.source != each.target:
            units[each.mint, each.decimals] = units.get((each.mint, each.decimals), 0) + each.amount
    for (mint, decimals), moved in sorted(units.items()):
        token = tokens.known(row.chain, mint) or tokens.unvouched(row.chain, mint, mint[:4], mint, decimals)
        found.append(Outflow(mint, token, moved, to))
    return [each for each in found if each.units]
