"""Paying out on an EVM chain from the exchange's own key. What a withdrawal spends is the nonce: of all transactions with one nonce the chain takes one.

What became of it is only what every node that answers says of block, success and fee, two at least where there are two; of confirmations the fewest count.
"""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass

from eth_abi.abi import encode

from core.money import CONTEXT
from core.wallet_vocabulary import WithdrawalStatus
from integrations.chains.errors import ChainError, NodeRefused, NodesContradict
from integrations.chains.evm.client import EvmClient
from integrations.chains.evm.errors import Refusal, meaning
from integrations.chains.evm.messages import EvmReceipt, read_receipt, read_transaction
from integrations.signers.base import Signer
from integrations.signers.evm import EvmTransaction, sign_evm
from models import withdrawal
from models.hot_wallet import HotWalletDocument
from models.withdrawal import AttemptEntry, WithdrawalDocument
from services.chain_votes import answers_in, require_witnesses
from services.evm_fees import require_possible
from services.payouts import Fate, FateKind, Promise, SendRefused, Wait
from services.withdrawal_rules import Route

TRANSFER = bytes.fromhex("a9059cbb")
"""Selector of ERC-20's transfer(address,uint256)."""
BALANCE_OF = bytes.fromhex("70a08231")
MARGIN_PERCENT = 25
"""Gas beyond what the simulation took."""
BUMP_PERCENT = 25
"""How much dearer a replacement is; nodes ask for a tenth at least (geth, `txpool.pricebump`)."""
MOST_FEE_PER_GAS = 2_000 * 10**9
"""Above it nothing is signed: the chain is in trouble, or a node lies about its fees."""
STUCK_BLOCKS = 15
LEAST_STUCK_MS = 60_000


@dataclass(frozen=True, slots=True)
class GasFees:
    """Wei per gas: the most in all, and for whoever makes the block."""

    most: int
    priority: int


Fees = Callable[[], Awaitable[GasFees]]


class EvmPayouts:
    """Of one chain. `hot` is the address of the signer's key; `fees` tells what gets into the next few blocks."""

    def __init__(self, client: EvmClient, signer: Signer, hot: str, fees: Fees, *, block_seconds: float) -> None:
        self._client = client
        self._signer = signer
        self._hot = hot
        self._fees = fees
        self._stuck_ms = max(LEAST_STUCK_MS, round(block_seconds * STUCK_BLOCKS * 1000))

    async def promise(self, row: WithdrawalDocument, way: Route, wallet: HotWalletDocument) -> Promise | Wait:
        amount = int(CONTEXT.scaleb(row.amount - row.fee, way.network.decimals))
        contract = way.network.contract
        to, value, data = row.address, amount, b""
        if contract is not None:
            to, value = contract, 0
            data = TRANSFER + encode(["address", "uint256"], [row.address, amount])
        used = await self._client.nonce(self._hot)
        under_way = [each for each in await self._under_way(row) if int(each.spends or 0) >= used]
        fees = await self._fees()
        if contract is not None and await self._tokens(contract) < amount + _sum(under_way, contract):
            return Wait("the hot wallet has too little of it now")
        try:
            gas = await self._client.estimate_gas(self._hot, to, data, value)
        except NodeRefused as refused:
            return _reason_to_wait(refused)
        gas = gas * (100 + MARGIN_PERCENT) // 100
        coins = value + gas * fees.most + _sum(under_way, None) + sum(_fee(each) for each in under_way)
        if await self._client.balance(self._hot) < coins:
            return Wait(
                "the hot wallet has too little of it now"
                if contract is None
                else "the hot wallet has too little to pay the chain's fee now"
            )
        nonce = max(wallet.next_nonce, used)
        terms = {
            "to": to,
            "value": str(value),
            "data": data.hex(),
            "gas": gas,
            "contract": contract,
            "amount": str(amount),
        }
        return Promise(str(nonce), terms, nonce + 1)

    async def sign(self, row: WithdrawalDocument, now_ms: int) -> AttemptEntry:
        if row.terms is None or row.spends is None:
            raise ValueError(f"nothing was promised for {row.id}")
        fees = await self._fees()
        if row.attempts:
            last = row.attempts[-1].terms
            fees = GasFees(
                max(fees.most, _dearer(int(last["most"]))), max(fees.priority, _dearer(int(last["priority"])))
            )
        if fees.most > MOST_FEE_PER_GAS:
            raise ChainError("gas costs more than is ever paid here now")
        transaction = EvmTransaction(
            chain_id=self._client.chain_id,
            nonce=int(row.spends),
            to=row.terms["to"],
            value=int(row.terms["value"]),
            gas=int(row.terms["gas"]),
            max_fee_per_gas=fees.most,
            max_priority_fee_per_gas=min(fees.priority, fees.most),
            data=bytes.fromhex(row.terms["data"]),
        )
        signed = await sign_evm(self._signer, transaction)
        return AttemptEntry(
            hash=signed.hash,
            raw=signed.raw,
            spends=row.spends,
            fee_units=transaction.gas * fees.most,
            terms={"most": str(fees.most), "priority": str(transaction.max_priority_fee_per_gas)},
            signed_ms=now_ms,
        )

    async def send(self, attempt: AttemptEntry) -> None:
        try:
            await self._client.send_raw(attempt.raw)
        except NodeRefused as refused:
            meant = meaning(refused)
            if meant.kind in {Refusal.ALREADY_KNOWN, Refusal.NONCE_TOO_LOW}:
                return
            if meant.kind is Refusal.UNDERPRICED:
                raise SendRefused("the fee is too low now", underpriced=True) from None
            if meant.kind is Refusal.INSUFFICIENT_GAS:
                raise SendRefused("the hot wallet has too little to pay the chain's fee now") from None
            raise SendRefused(f"the chain's nodes do not take it: {meant.said or 'no reason given'}") from None

    async def fate(self, row: WithdrawalDocument) -> Fate:
        found = await self._mined(row)
        if found is not None:
            return found
        nonces = await self._client.nonces_of_all(self._hot)
        if all(nonce > int(row.spends or 0) for nonce in answers_in(nonces)):
            require_witnesses(self._client.key, nonces)
            return await self._mined(row, doubted=True) or Fate(FateKind.TAKEN)
        for attempt in reversed(row.attempts):
            known = await self._client.ask_every("eth_getTransactionByHash", [attempt.hash], read_transaction)
            if any(each is not None for each in answers_in(known)):
                return Fate(FateKind.PENDING, attempt.hash)
        return Fate(FateKind.UNKNOWN)

    def is_stuck(self, row: WithdrawalDocument, now_ms: int) -> bool:
        return now_ms - row.attempts[-1].signed_ms >= self._stuck_ms

    async def _mined(self, row: WithdrawalDocument, *, doubted: bool = False) -> Fate | None:
        """Of the newest attempt that any node has in a block; None: no node has any, which one alone is not believed where it is doubted."""
        for attempt in reversed(row.attempts):
            found = await self._included(attempt, doubted=doubted)
            if found is not None:
                return found
        return None

    async def _included(self, attempt: AttemptEntry, *, doubted: bool) -> Fate | None:
        """What the nodes say of a transaction; None where none that answers has it in a block. Raises NodesContradict."""
        said = await self._client.ask_every("eth_getTransactionReceipt", [attempt.hash], read_receipt)
        receipts = answers_in(said)
        found = [receipt for receipt in receipts if receipt is not None]
        if not found:
            if doubted:
                require_witnesses(self._client.key, said)
            return None
        if len({(receipt.hash, receipt.block_hash, receipt.success, receipt.fee) for receipt in found}) > 1:
            raise NodesContradict(f"nodes of {self._client.key} tell different ends of transaction {attempt.hash}")
        if len(found) < len(receipts):
            return Fate(FateKind.PENDING, attempt.hash)
        require_witnesses(self._client.key, said)
        return await self._counted(found[0], attempt)

    async def _counted(self, receipt: EvmReceipt, attempt: AttemptEntry) -> Fate:
        if receipt.hash != attempt.hash:
            raise NodesContradict(f"nodes of {self._client.key} answer for another transaction than {attempt.hash}")
        require_possible(receipt, attempt.fee_units)
        heads = await self._client.heads_of_all()
        require_witnesses(self._client.key, heads)
        confirmations = max(0, min(head.number for head in answers_in(heads)) - receipt.block + 1)
        kind = FateKind.INCLUDED if receipt.success else FateKind.FAILED
        return Fate(kind, receipt.hash, confirmations, receipt.fee)

    async def _under_way(self, row: WithdrawalDocument) -> list[WithdrawalDocument]:
        """Other withdrawals of this chain for which something was promised and not confirmed."""
        statuses = (WithdrawalStatus.SIGNING, WithdrawalStatus.BROADCAST, WithdrawalStatus.HELD)
        found = await withdrawal.of_chain(row.chain, statuses)
        return [each for each in found if each.id != row.id and each.spends is not None and each.terms is not None]

    async def _tokens(self, contract: str) -> int:
        answer = await self._client.call(contract, BALANCE_OF + encode(["address"], [self._hot]))
        return int.from_bytes(answer[:32], "big")


def _reason_to_wait(refused: NodeRefused) -> Wait:
    meant = meaning(refused)
    if meant.kind is Refusal.INSUFFICIENT_GAS:
        return Wait("the hot wallet has too little of it now")
    said = f": {meant.said}" if meant.said else ""
    return Wait(f"the recipient's or the token's contract refuses it now{said}")


def _sum(rows: Sequence[WithdrawalDocument], contract: str | None) -> int:
    """What these pay out of one token, or of the chain's coin."""
    return sum(int(row.terms["amount"]) for row in rows if row.terms is not None and row.terms["contract"] == contract)


def _fee(row: WithdrawalDocument) -> int:
    return row.attempts[-1].fee_units if row.attempts else 0


def _dearer(fee: int) -> int:
    return fee * (100 + BUMP_PERCENT) // 100 + 1
