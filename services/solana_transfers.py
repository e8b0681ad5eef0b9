"""Transfers on Solana worked out for people to sign: SOL or tokens, as a v0 transaction that lives by a blockhash of this moment, about a minute.

It is tried out on a node before anybody sees it: computing units are limited to what it used, with a margin, and one that would fail is refused with the reason.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from decimal import Decimal
from typing import NamedTuple

from core.money import CONTEXT
from core.refusals import WalletRefused
from core.wallet_vocabulary import EffectKind, FeeSpeed
from core.wallet_vocabulary import WalletErrorCode as Code
from events.token import TokenState
from integrations.chains.errors import ChainError, ChainUnavailable
from integrations.chains.solana.addresses import SYSTEM_PROGRAM, InvalidAddress, associated_token_address, parse
from integrations.chains.solana.client import SolanaClient
from integrations.chains.solana.errors import ProblemCode, TransactionProblem, TransactionRefused
from integrations.chains.solana.messages import Account, Blockhash, PriorityFees
from integrations.chains.solana.mints import Mint, read_mint, read_token_account
from integrations.chains.solana.transfers import (
    InvalidTransfer,
    NothingLeft,
    Prepared,
    Terms,
    all_sol,
    sol_transfer,
    token_transfer,
    units_with_margin,
)
from integrations.chains.solana.wire import from_base64
from models import deposit_memo
from models.chain import ChainEntry
from models.prepared_transaction import EffectEntry, PreparedTransactionDocument
from services.chain_addresses import named_address
from services.chain_failures import refused
from services.chains import Chains
from services.prepared_transactions import PreparedTransactions, Unsigned, wanted_units
from services.sending_families import TransferWish
from services.tokens import Tokens
from services.transaction_effects import token_entry

COIN_DIGITS = 9
HASH_BLOCKS = 150
"""So many blocks after its own a blockhash is good for."""
_FIELDS: Mapping[ProblemCode, Sequence[str]] = {
    ProblemCode.INSUFFICIENT_FUNDS: ["amount"],
    ProblemCode.AMOUNT_TOO_SMALL: ["amount"],
    ProblemCode.INSUFFICIENT_GAS: ["from"],
}


@dataclass(frozen=True, slots=True)
class _Way:
    """From whom, to whom, with which memo, and how fast. `deposit`: where the account deposits; `lamports`: what the sender has."""

    client: SolanaClient
    sender: str
    to: str
    memo: str | None
    deposit: str | None
    speed: FeeSpeed
    lamports: int
    is_new: bool
    """Whether the recipient's account is to be made."""


class _Ends(NamedTuple):
    """As in `_Way`."""

    sender: str
    to: str
    memo: str | None
    deposit: str | None


@dataclass(frozen=True, slots=True)
class _Worked:
    """What was worked out. `rent`: lamports that a new token account takes."""

    prepared: Prepared
    fresh: Blockhash
    units: int
    rent: int = 0


class SolanaTransfers:
    """One per process. `shared`: by chain, the exchange's own addresses that all deposit to with a memo."""

    def __init__(
        self, chains: Chains, tokens: Tokens, prepared: PreparedTransactions, shared: Mapping[str, Sequence[str]]
    ) -> None:
        self._chains = chains
        self._tokens = tokens
        self._prepared = prepared
        self._shared = shared

    async def transfer(self, user_id: str, wish: TransferWish) -> PreparedTransactionDocument:
        """A transfer of SOL or tokens. Raises WalletRefused."""
        client = self._chains.solana(wish.chain)
        chain = self._chains.entries[wish.chain]
        sender, to = named_address(chain, wish.sender, "from"), named_address(chain, wish.to, "to")
        memo, deposit = await self._own_deposit(user_id, chain, to)
        try:
            way = await _way(client, _Ends(sender, to, memo, deposit), wish.speed)
            token, mint = await self._token(client, chain, wish.token)
            units = wanted_units(wish.amount, wish.send_all, token.decimals)
            worked = await (_coins(way, units) if mint is None else _tokens(way, token, mint, units))
        except TransactionRefused as error:
            raise problem_refused(error.problem) from error
        except ChainError as error:
            raise refused(error) from error
        return await self._kept(user_id, chain, way, token, worked)

    async def _own_deposit(self, user_id: str, chain: ChainEntry, to: str) -> tuple[str | None, str | None]:
        """The memo that must be written for the exchange to know whose it is, None where it goes to somebody else; and where the account deposits. Raises WalletRefused."""
        shared = self._shared.get(chain.key, ())
        row = await deposit_memo.of_account(user_id, chain.key) if shared else None
        if row is not None:
            return (row.memo, to) if to in shared else (None, shared[0])
        if to in shared:
            text = "this is where all deposit here; ask for a deposit address first, so that your memo is written"
            raise WalletRefused(text, reason=Code.ADDRESS_INVALID, field=["to"])
        return None, None

    async def _token(self, client: SolanaClient, chain: ChainEntry, given: str) -> tuple[TokenState, Mint | None]:
        """The token, and its mint as the chain has it; None: SOL. Raises WalletRefused."""
        vouched = (each for each in self._tokens.listed(chain.key) if not each.spam)
        listed = next((each for each in vouched if given in (each.symbol, each.contract)), None)
        if listed is not None and listed.contract is None:
            return listed, None
        address = _mint_address(given) if listed is None else listed.contract or ""
        (account,) = await client.accounts([address])
        mint = None if account is None else read_mint(account)
        if mint is None:
            text = "there is no token at this address"
            raise WalletRefused(text, reason=Code.UNKNOWN_ASSET, field=["token"])
        if mint.takes_a_fee or mint.calls_a_program:
            text = "transfers of this token take a fee or call a program of its issuer; that is not done from here"
            raise WalletRefused(text, reason=Code.NOT_ENABLED, field=["token"])
        if listed is not None:
            return listed, mint
        short = f"{address[:4]}-{address[-4:]}"
        words = mint.symbol or short, mint.name or short
        return self._tokens.unvouched(chain.key, address, *words, mint.decimals), mint

    async def _kept(
        self, user_id: str, chain: ChainEntry, way: _Way, token: TokenState, worked: _Worked
    ) -> PreparedTransactionDocument:
        sent = EffectEntry(
            kind=EffectKind.TRANSFER, token=token_entry(token), sender=way.sender, to=way.to, units=str(worked.units)
        )
        made = Unsigned(
            chain=chain.key,
            sender=way.sender,
            to=token.contract or way.to,
            payload={"transaction": worked.prepared.transaction},
            fee=_whole(worked.prepared.fee + worked.rent, COIN_DIGITS),
            effects=[sent],
            terms={
                "last_valid": str(worked.fresh.last_valid_block_height),
                "slot": str(worked.fresh.slot),
            },
            deposit=way.deposit,
            life_ms=round(HASH_BLOCKS * chain.block_seconds * 1000),
        )
        return await self._prepared.keep(user_id, made)


def problem_refused(problem: TransactionProblem, *, field: Sequence[str] | None = None) -> WalletRefused:
    """What the chain would not take, as people are told."""
    named = field or _FIELDS.get(problem.code)
    return WalletRefused(problem.text, problem.values, reason=Code(problem.code), field=named)


async def _way(client: SolanaClient, ends: _Ends, speed: FeeSpeed) -> _Way:
    """Who sends and who receives, as the chain has them. Raises WalletRefused."""
    giver, taker = await client.accounts([ends.sender, ends.to])
    for account, name in ((giver, "from"), (taker, "to")):
        if account is not None and (account.owner != SYSTEM_PROGRAM or account.executable):
            text = "this address belongs to a program, such as a token account, and is no wallet"
            raise WalletRefused(text, reason=Code.ADDRESS_INVALID, field=[name])
    return _Way(client, *ends, speed, 0 if giver is None else giver.lamports, taker is None)


async def _coins(way: _Way, units: int | None) -> _Worked:
    """SOL; `units` None: all there is but the fee."""
    least = await way.client.rent_minimum(0)
    fresh, price = await _moment(way, [way.sender, way.to])

    def write(terms: Terms) -> Prepared:
        if units is None:
            return all_sol(terms, way.to, way.lamports, way.memo)
        return sol_transfer(terms, way.to, units, way.memo)

    def check(fee: int) -> int:
        sent = way.lamports - fee if units is None else units
        if sent + fee > way.lamports:
            raise _too_little_sol(way.lamports, sent + fee)
        if way.is_new and sent < least:
            text = "the recipient's account is new and must hold at least so much"
            raise _bounded(text, Code.AMOUNT_TOO_SMALL, "amount", (least, sent), COIN_DIGITS)
        _check_rest(way.lamports - sent - fee, least)
        return sent

    prepared = await _tried(way, Terms(way.sender, fresh.hash, price), write, check)
    return _Worked(prepared, fresh, check(prepared.fee))


async def _tokens(way: _Way, token: TokenState, mint: Mint, units: int | None) -> _Worked:
    """Tokens, from the sender's associated account to the recipient's, which is made where it is missing; `units` None: all in it."""
    address = token.contract or ""
    places = [associated_token_address(owner, address, mint.program) for owner in (way.sender, way.to)]
    giving, taking = await way.client.accounts(places)
    held = None if giving is None else read_token_account(giving)
    has = 0 if held is None else held.amount
    units = has if units is None else units
    if units > has or not units:
        text = "the sender does not have so much"
        raise _bounded(text, Code.INSUFFICIENT_FUNDS, "amount", (has, max(units, 1)), token.decimals)
    _check_place(taking, way.to)
    rent = await way.client.rent_minimum(mint.account_bytes) if taking is None else 0
    least = await way.client.rent_minimum(0)
    fresh, price = await _moment(way, [way.sender, *places])
    sent = units

    def write(terms: Terms) -> Prepared:
        return token_transfer(
            terms,
            way.to,
            sent,
            mint=address,
            decimals=mint.decimals,
            program=mint.program,
            opens=taking is None,
            memo=way.memo,
        )

    def check(fee: int) -> int:
        if fee + rent > way.lamports:
            raise _too_little_sol(way.lamports, fee + rent)
        _check_rest(way.lamports - fee - rent, least)
        return sent

    prepared = await _tried(way, Terms(way.sender, fresh.hash, price), write, check)
    return _Worked(prepared, fresh, sent, rent)


async def _moment(way: _Way, writable: Sequence[str]) -> tuple[Blockhash, int]:
    """A blockhash of now, and what is paid now for a computing unit of what writes to these accounts."""
    fees = await way.client.priority_fees(writable)
    return await way.client.latest_blockhash(), _price(fees, way.speed)


async def _tried(way: _Way, terms: Terms, write: Callable[[Terms], Prepared], check: Callable[[int], int]) -> Prepared:
    """The transaction with a limit of what it used when it was tried out. `check` raises for a fee that cannot be paid. Raises WalletRefused, ChainError."""
    try:
        draft = write(terms)
        check(draft.fee)
        outcome = await way.client.simulate(from_base64(draft.transaction))
        if outcome.problem is not None:
            if outcome.problem.code is ProblemCode.TRANSACTION_EXPIRED:
                raise ChainUnavailable(way.client.chain, {"node": "does not know its own newest block yet"})
            raise problem_refused(outcome.problem)
        return write(replace(terms, units=units_with_margin(outcome.units)))
    except NothingLeft as error:
        raise _too_little_sol(error.balance, error.needed) from None
    except InvalidTransfer:
        text = "this transfer cannot be written: the amount does not fit the chain"
        raise WalletRefused(text, reason=Code.AMOUNT_INVALID, field=["amount"]) from None


def _check_place(account: Account | None, owner: str) -> None:
    """That what lies where the recipient's tokens should is theirs. Raises WalletRefused."""
    held = None if account is None else read_token_account(account)
    if account is not None and (held is None or held.owner != owner):
        text = "the token account at the recipient's place belongs to somebody else"
        raise WalletRefused(text, reason=Code.ADDRESS_INVALID, field=["to"])


def _check_rest(rest: int, least: int) -> None:
    """That what stays is nothing, or enough to exist. Raises WalletRefused."""
    if 0 < rest < least:
        text = "the sender would keep too little to exist: send all, or leave at least so much"
        raise _bounded(text, Code.INSUFFICIENT_FUNDS, "amount", (least, rest), COIN_DIGITS)


def _too_little_sol(has: int, needs: int) -> WalletRefused:
    text = "the sender has too little of the chain's own coin to pay the fee as well"
    return _bounded(text, Code.INSUFFICIENT_GAS, "from", (has, needs), COIN_DIGITS)


def _mint_address(given: str) -> str:
    """The address of a token as it is given. Raises WalletRefused."""
    try:
        return str(parse(given))
    except InvalidAddress:
        text = "there is no such token on this chain; name it by its contract"
        raise WalletRefused(text, reason=Code.UNKNOWN_ASSET, field=["token"]) from None


def _price(fees: PriorityFees, speed: FeeSpeed) -> int:
    return {FeeSpeed.SLOW: fees.slow, FeeSpeed.STANDARD: fees.standard, FeeSpeed.FAST: fees.fast}[speed]


def _bounded(text: str, code: Code, field: str, numbers: tuple[int, int], digits: int) -> WalletRefused:
    """A refusal with the bound and what was wanted, in smallest units."""
    limit, actual = (_whole(each, digits) for each in numbers)
    return WalletRefused(text, reason=code, field=[field], limit=limit, actual=actual)


def _whole(units: int, digits: int) -> Decimal:
    """An amount of smallest units in whole ones."""
    return CONTEXT.scaleb(Decimal(units), -digits)
