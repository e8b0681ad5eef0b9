"""What is exported to be signed on Solana: payments between wallets of the house, as messages without signatures.

All people deposit to one address, so there is nothing to gather. A message lives by its blockhash, a minute or two: that is enough for a wallet at hand. To sign offline, it
lives by the nonce of an account made for that (`nonce_account`), whose authority is the paying key.
"""

from solders.hash import Hash
from solders.pubkey import Pubkey

from core.money import CONTEXT
from integrations.chains.solana.addresses import SYSTEM_PROGRAM, TOKEN_PROGRAMS, InvalidAddress
from integrations.chains.solana.client import SolanaClient
from integrations.chains.solana.comparison import differences
from integrations.chains.solana.errors import ProblemCode, TransactionRefused
from integrations.chains.solana.messages import Commitment
from integrations.chains.solana.transfers import (
    SOL_UNITS,
    TOKEN_UNITS,
    InvalidTransfer,
    Terms,
    sol_transfer,
    token_transfer,
)
from integrations.chains.solana.wire import (
    UnreadableTransaction,
    from_base64,
    read_message,
    read_transaction,
    signature_of,
)
from models.chain import ChainEntry
from models.treasury_export import MoveEntry
from services.treasury import MoveState, MoveWish, Plan, SignedMove, SweepWish, TreasuryRefused, Wallets
from services.treasury_evm import EvmForm

_NONCE_BYTES = 80
_READY = (1).to_bytes(4, "little")
"""State of a nonce account that is initialized (solana-program, `nonce::state::Versions`)."""


class SolanaTreasury:
    """Of one chain."""

    def __init__(self, client: SolanaClient, chain: ChainEntry, forms: list[EvmForm]) -> None:
        self._client = client
        self._chain = chain
        self._forms = forms

    async def sweep(self, wallets: Wallets, wish: SweepWish) -> Plan:  # noqa: ARG002
        raise TreasuryRefused("on Solana all people deposit to one address; use `treasury move` from there")

    async def move(self, wallets: Wallets, wish: MoveWish) -> Plan:
        form = next((form for form in self._forms if form.code == wish.asset), None)
        units = None if form is None else CONTEXT.scaleb(wish.amount, form.decimals)
        if form is None or units is None or units <= 0 or units != units.to_integral_value():
            raise TreasuryRefused(f"expected an asset of {self._chain.key} and an amount of it above 0 with its digits")
        terms, unsigned = await self._terms(wish, SOL_UNITS if form.contract is None else TOKEN_UNITS)
        try:
            if form.contract is None:
                prepared = sol_transfer(terms, wish.target, int(units))
            else:
                program = await self._program(form.contract)
                prepared = token_transfer(
                    terms, wish.target, int(units), mint=form.contract, decimals=form.decimals, program=program
                )
        except (InvalidTransfer, InvalidAddress) as refused:
            raise TreasuryRefused(str(refused)) from None
        move = MoveEntry(
            number=1,
            purpose=f"{wish.asset} to {wish.target}",
            asset=wish.asset,
            units=str(int(units)),
            fee=str(prepared.fee),
            sources=(wish.source,),
            paths=(wallets.path(wish.source),),
            target=wish.target,
            unsigned={"message": prepared.message, "transaction": prepared.transaction, **unsigned},
        )
        return Plan([move], [] if wish.nonce_account else ["it can be sent for a minute or two only (--nonce-account)"])

    def check(self, move: MoveEntry, signed: str) -> SignedMove:
        try:
            raw = from_base64(signed.strip())
            found = read_transaction(raw)
        except UnreadableTransaction as problem:
            raise TreasuryRefused(f"it cannot be read: {problem}") from None
        prepared = read_message(from_base64(move.unsigned["message"]))
        different = differences(prepared, found)
        if different:
            said = " ".join(each.sentence for each in different)
            raise TreasuryRefused(f"what was signed is not what was exported: {said}")
        return SignedMove(signature_of(found), raw)

    async def send(self, raw: bytes) -> None:
        try:
            await self._client.send(raw)
        except TransactionRefused as refused:
            if refused.problem.code is ProblemCode.TRANSACTION_EXPIRED:
                raise TreasuryRefused("its blockhash, or its nonce, is not valid any more; export again") from None
            if refused.problem.code is not ProblemCode.ALREADY_KNOWN:
                raise TreasuryRefused(f"the chain does not take it: {refused.problem.sentence}") from None

    async def look(self, hash_: str) -> MoveState:
        (status,) = await self._client.statuses([hash_], search_history=True)
        if status is None or status.commitment is Commitment.PROCESSED:
            return MoveState.SENT
        return MoveState.INCLUDED if status.problem is None else MoveState.FAILED

    async def _terms(self, wish: MoveWish, units: int) -> tuple[Terms, dict[str, str]]:
        """By what it lives, and what is said of that."""
        price = (await self._client.priority_fees([wish.source])).fast
        if wish.nonce_account is None:
            fresh = await self._client.latest_blockhash(Commitment.FINALIZED)
            told = {"lastValidBlockHeight": str(fresh.last_valid_block_height)}
            return Terms(wish.source, fresh.hash, price, units), told
        nonce = await self._nonce(wish.nonce_account, wish.source)
        told = {"nonceAccount": wish.nonce_account}
        return Terms(wish.source, nonce, price, units, nonce_account=wish.nonce_account), told

    async def _nonce(self, address: str, authority: str) -> str:
        """What is stored in a nonce account of this authority."""
        (account,) = await self._client.accounts([address], Commitment.FINALIZED)
        data = b"" if account is None else account.data
        if account is None or account.owner != SYSTEM_PROGRAM or len(data) != _NONCE_BYTES or data[4:8] != _READY:
            raise TreasuryRefused(f"{address} is no nonce account")
        if str(Pubkey(data[8:40])) != authority:
            raise TreasuryRefused(f"{authority} has no authority over the nonce account {address}")
        return str(Hash(data[40:72]))

    async def _program(self, mint: str) -> str:
        (account,) = await self._client.accounts([mint])
        if account is None or account.owner not in TOKEN_PROGRAMS:
            raise TreasuryRefused(f"{mint} is no token's mint")
        return account.owner
