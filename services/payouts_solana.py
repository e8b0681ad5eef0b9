"""Paying out on Solana from the exchange's own key. There is no nonce: a transaction lives by its blockhash, and is signed again only when every earlier one can
never land any more (`integrations/chains/solana/outcomes.py`).

Two payments alike under one blockhash would be one transaction to the chain, so each is made to differ, by its priority fee, from all that were ever sent.
"""

from dataclasses import dataclass

from core.money import CONTEXT
from core.wallet_vocabulary import WithdrawalStatus
from integrations.chains.errors import ChainError, NodesContradict
from integrations.chains.solana.addresses import TOKEN_PROGRAMS, associated_token_address
from integrations.chains.solana.client import SolanaClient
from integrations.chains.solana.errors import ProblemCode, TransactionRefused
from integrations.chains.solana.messages import Commitment
from integrations.chains.solana.outcomes import Outcome, outcome
from integrations.chains.solana.transfers import Prepared, Terms, fee_for, sol_transfer, token_transfer
from integrations.chains.solana.wire import from_base64
from integrations.signers.base import SignedTransaction, Signer
from integrations.signers.solana import sign_solana
from models import withdrawal
from models.hot_wallet import HotWalletDocument
from models.withdrawal import AttemptEntry, WithdrawalDocument
from services.payouts import Fate, FateKind, Promise, SendRefused, Wait
from services.withdrawal_rules import Route

UNITS = 150_000
"""Compute units granted to any payment; it takes some 5,000, and 30,000 where a token account is opened."""
TOKEN_ACCOUNT_BYTES = 165
MOST_RENT = 20_000_000
"""Lamports that opening the recipient's token account takes at most; some 2,000,000 it is."""
_DECIMALS_AT = 44
"""Where a mint's account has its decimals (spl-token, `Mint`)."""
_ONCE = "once"
_LANDED_ANYWAY = frozenset({ProblemCode.ALREADY_KNOWN, ProblemCode.TRANSACTION_EXPIRED})
"""Whether it landed, the outcome tells."""


@dataclass(frozen=True, slots=True)
class _Token:
    mint: str
    program: str
    decimals: int


class SolanaPayouts:
    """Of one chain. `hot` is the address of the signer's key; a transaction that is final has `final_after` confirmations."""

    def __init__(self, client: SolanaClient, signer: Signer, hot: str, *, final_after: int) -> None:
        self._client = client
        self._signer = signer
        self._hot = hot
        self._final_after = final_after

    async def promise(self, row: WithdrawalDocument, way: Route, wallet: HotWalletDocument) -> Promise | Wait:  # noqa: ARG002
        amount = int(CONTEXT.scaleb(row.amount - row.fee, way.network.decimals))
        terms: dict[str, object] = {"amount": str(amount)}
        fee = fee_for(1, UNITS, (await self._client.priority_fees([self._hot])).fast)
        under_way = await self._under_way(row)
        needed = fee + sum(int(each.terms["lamports"]) for each in under_way if each.terms is not None)
        if way.network.contract is None:
            (account,) = await self._client.accounts([row.address])
            if account is None and amount < (least := await self._client.rent_minimum(0)):
                return Wait(f"a new account on this chain needs at least {least} lamports")
            needed, lamports = needed + amount, amount + fee
        else:
            token = await self._token(way.network.contract)
            target = associated_token_address(row.address, token.mint, token.program)
            (account,) = await self._client.accounts([target])
            opening = 0 if account is not None else await self._client.rent_minimum(TOKEN_ACCOUNT_BYTES)
            needed, lamports = needed + opening, fee + opening
            spent = sum(
                int(each.terms["amount"])
                for each in under_way
                if each.terms is not None and each.terms.get("mint") == token.mint
            )
            if await self._tokens(token) < amount + spent:
                return Wait("the hot wallet has too little of it now")
            terms |= {"mint": token.mint, "program": token.program, "decimals": token.decimals}
        if await self._client.lamports(self._hot) < needed:
            native = way.network.contract is None
            return Wait(f"the hot wallet has too little {'of it' if native else 'to pay the fee'} now")
        return Promise(_ONCE, {**terms, "lamports": str(lamports)}, 0)

    async def sign(self, row: WithdrawalDocument, now_ms: int) -> AttemptEntry:
        fresh = await self._client.latest_blockhash(Commitment.FINALIZED)
        price = (await self._client.priority_fees([self._hot])).fast
        taken = {attempt.hash for each in await self._under_way(row) for attempt in each.attempts}
        while True:
            terms = Terms(self._hot, fresh.hash, price, UNITS)
            prepared = _prepared(row, terms)
            signed: SignedTransaction = await sign_solana(self._signer, from_base64(prepared.message))
            if signed.hash not in taken and await withdrawal.by_hash(signed.hash) is None:
                break
            price += 1
        return AttemptEntry(
            hash=signed.hash,
            raw=signed.raw,
            spends=_ONCE,
            fee_units=prepared.fee,
            terms={"last_valid": fresh.last_valid_block_height, "slot": fresh.slot},
            signed_ms=now_ms,
        )

    async def send(self, attempt: AttemptEntry) -> None:
        try:
            await self._client.send(attempt.raw)
        except TransactionRefused as refused:
            if refused.problem.code not in _LANDED_ANYWAY:
                raise SendRefused(refused.problem.sentence) from None

    async def fate(self, row: WithdrawalDocument) -> Fate:
        """Of the newest attempt: those before it were given up for good before it was signed."""
        if not row.attempts:
            return Fate(FateKind.UNKNOWN)
        newest = row.attempts[-1]
        found = await outcome(
            self._client,
            newest.hash,
            last_valid_block_height=int(newest.terms["last_valid"]),
            blockhash_slot=int(newest.terms["slot"]),
        )
        match found.outcome:
            case Outcome.FINALIZED:
                fee = await self._cost(row, newest)
                return Fate(FateKind.INCLUDED, newest.hash, self._final_after, fee)
            case Outcome.CONFIRMED:
                return Fate(FateKind.INCLUDED, newest.hash, 1)
            case Outcome.PROCESSED:
                return Fate(FateKind.PENDING, newest.hash)
            case Outcome.FAILED:
                return Fate(FateKind.FAILED, newest.hash, self._final_after, newest.fee_units)
            case Outcome.EXPIRED:
                return Fate(FateKind.EXPIRED)
            case Outcome.PENDING:
                return Fate(FateKind.UNKNOWN)

    def is_stuck(self, row: WithdrawalDocument, now_ms: int) -> bool:  # noqa: ARG002
        """Never: a dearer one could land beside it. It expires within two minutes."""
        return False

    async def _cost(self, row: WithdrawalDocument, attempt: AttemptEntry) -> int:
        """Lamports that left the hot wallet beside what was paid: the fee, and the rent of an account that was opened. Raises ChainError."""
        told = await self._client.agreed_transaction(attempt.hash, Commitment.FINALIZED)
        if told is None or row.terms is None:
            raise ChainError(f"too few nodes of {self._client.chain} tell what {attempt.hash} cost")
        cost = -told.lamports_of(self._hot) - (0 if "mint" in row.terms else int(row.terms["amount"]))
        if not 0 <= cost <= attempt.fee_units + MOST_RENT:
            raise NodesContradict(f"{attempt.hash} cannot have cost what is told of it")
        return cost

    async def _under_way(self, row: WithdrawalDocument) -> list[WithdrawalDocument]:
        statuses = (WithdrawalStatus.SIGNING, WithdrawalStatus.BROADCAST, WithdrawalStatus.HELD)
        found = await withdrawal.of_chain(row.chain, statuses)
        return [each for each in found if each.id != row.id and each.spends is not None]

    async def _token(self, mint: str) -> _Token:
        (account,) = await self._client.accounts([mint])
        if account is None or account.owner not in TOKEN_PROGRAMS:
            raise ValueError(f"{mint} is no token's mint")
        return _Token(mint, account.owner, account.data[_DECIMALS_AT])

    async def _tokens(self, token: _Token) -> int:
        """What the hot wallet has in its associated account, from which it pays."""
        holdings = await self._client.holdings(self._hot)
        return sum(each.amount for each in holdings.tokens if each.mint == token.mint and each.associated)


def _prepared(row: WithdrawalDocument, terms: Terms) -> Prepared:
    if row.terms is None:
        raise ValueError(f"nothing was promised for {row.id}")
    amount, mint = int(row.terms["amount"]), row.terms.get("mint")
    if mint is None:
        return sol_transfer(terms, row.address, amount)
    return token_transfer(
        terms, row.address, amount, mint=mint, decimals=int(row.terms["decimals"]), program=row.terms["program"]
    )
