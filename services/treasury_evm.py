"""What is exported to be signed on an EVM chain: EIP-1559 transactions, each with its nonce, for keys that are offline.

A token's way is paid in the chain's coin. A deposit address that lacks it gets it first, from a cold wallet (stage 1); its tokens go afterwards (stage 2).
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from typing import NamedTuple

from eth_abi.abi import encode

from core.money import CONTEXT, canonical
from core.refusals import WalletRefused
from integrations.chains.errors import NodeRefused
from integrations.chains.evm.client import PENDING, EvmClient
from integrations.chains.evm.errors import Refusal, meaning
from integrations.chains.evm.reserves import evm_reserves
from integrations.chains.reserves import Owned
from models.asset import AssetEntry
from models.chain import ChainEntry
from models.treasury_export import MoveEntry
from services.signed_transactions import Expected, differences, read_signed
from services.treasury import MoveState, MoveWish, Plan, SignedMove, SweepWish, TreasuryRefused, Wallets

TRANSFER = bytes.fromhex("a9059cbb")
"""Selector of ERC-20's transfer(address,uint256)."""
PLAIN_GAS = 21_000
MARGIN_PERCENT = 25
FEE_TIMES = 2
"""Signing offline takes hours: the fee that is offered is so many times today's, of which the chain takes what it needs."""


@dataclass(frozen=True, slots=True)
class EvmForm:
    """An asset as it is on the chain; without a contract its own coin."""

    code: str
    contract: str | None
    decimals: int

    def amount(self, units: int) -> Decimal:
        """In whole units of the asset."""
        return CONTEXT.scaleb(Decimal(units), -self.decimals)


def forms_on(assets: Sequence[AssetEntry], chain: str) -> list[EvmForm]:
    """Everything that has a form on the chain, its coin first."""
    found = [
        EvmForm(asset.code, form.contract, form.decimals)
        for asset in assets
        for form in asset.networks
        if form.chain == chain
    ]
    return sorted(found, key=lambda form: (form.contract is not None, form.code))


@dataclass(frozen=True, slots=True)
class _Fees:
    """Wei for a unit of gas."""

    most: int
    priority: int


class _Payment(NamedTuple):
    """One transaction to be written down. `gas`: the most it may take."""

    purpose: str
    sender: str
    to: str
    form: EvmForm
    units: int
    gas: int
    stage: int = 1


@dataclass
class _Draft:
    """Moves as they come about, with the next nonce of each sender."""

    wallets: Wallets
    chain_id: int
    fees: _Fees
    nonces: dict[str, int] = field(default_factory=dict)
    moves: list[MoveEntry] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


class EvmTreasury:
    """Of one chain."""

    def __init__(self, client: EvmClient, chain: ChainEntry, forms: Sequence[EvmForm]) -> None:
        self._client = client
        self._chain = chain
        self._forms = forms

    async def sweep(self, wallets: Wallets, wish: SweepWish) -> Plan:
        forms = [form for form in self._forms if not wish.assets or form.code in wish.assets]
        if len({form.code for form in forms}) < len(wish.assets):
            raise TreasuryRefused(f"one of these assets is not on {self._chain.key}")
        draft = await self._draft(wallets)
        owned = await self._owned(list(wallets.deposits))
        for address in wallets.deposits:
            if len(draft.moves) >= wish.most:
                draft.notes.append(f"there is more: {wish.most} transactions are exported at a time")
                break
            await self._sweep_one(draft, wish, forms, address, owned)
        await self._require_gas(draft, wish.gas_from)
        ordered = sorted(draft.moves, key=lambda move: move.stage)
        return Plan([each.model_copy(update={"number": at}) for at, each in enumerate(ordered, start=1)], draft.notes)

    async def move(self, wallets: Wallets, wish: MoveWish) -> Plan:
        form = next((form for form in self._forms if form.code == wish.asset), None)
        units = None if form is None else CONTEXT.scaleb(wish.amount, form.decimals)
        if form is None or units is None or units <= 0 or units != units.to_integral_value():
            raise TreasuryRefused(f"expected an asset of {self._chain.key} and an amount of it above 0 with its digits")
        draft = await self._draft(wallets)
        has = (await self._owned([wish.source]))[wish.source]
        gas = await self._gas(wish.source, wish.target, form, int(units))
        fee = gas * draft.fees.most
        needed = {form.contract: int(units)}
        needed[None] = needed.get(None, 0) + fee
        for contract, least in needed.items():
            if (has.get(contract) or 0) < least:
                what = "it" if contract == form.contract else "the chain's coin, for the fee,"
                raise TreasuryRefused(f"{wish.source} has too little of {what} now")
        await self._add(
            draft, _Payment(f"{wish.asset} to {wish.target}", wish.source, wish.target, form, int(units), gas)
        )
        return Plan([each.model_copy(update={"number": 1}) for each in draft.moves], draft.notes)

    def check(self, move: MoveEntry, signed: str) -> SignedMove:
        try:
            found = read_signed(signed.strip())
        except WalletRefused as refused:
            raise TreasuryRefused(refused.message) from None
        wanted = move.unsigned
        expected = Expected(
            sender=move.sources[0],
            chain_id=int(wanted["chainId"], 16),
            nonce=int(wanted["nonce"], 16),
            to=wanted["to"],
            value=int(wanted["value"], 16),
            gas=int(wanted["gas"], 16),
            max_fee=int(wanted["maxFeePerGas"], 16),
            data=bytes.fromhex(wanted["data"][2:]),
        )
        different = differences(found, expected)
        if different:
            raise TreasuryRefused(f"what was signed is not what was exported: {'; '.join(different)}")
        return SignedMove(found.hash, found.raw)

    async def send(self, raw: bytes) -> None:
        try:
            await self._client.send_raw(raw)
        except NodeRefused as refused:
            meant = meaning(refused)
            if meant.kind is Refusal.NONCE_TOO_LOW:
                raise TreasuryRefused("its nonce was used by another transaction; export again") from None
            if meant.kind is not Refusal.ALREADY_KNOWN:
                raise TreasuryRefused(f"the chain does not take it: {meant.said or meant.kind}") from None

    async def look(self, hash_: str) -> MoveState:
        receipt = await self._client.receipt(hash_)
        if receipt is None:
            return MoveState.SENT
        return MoveState.INCLUDED if receipt.success else MoveState.FAILED

    async def _sweep_one(
        self, draft: _Draft, wish: SweepWish, forms: Sequence[EvmForm], address: str, owned: Owned
    ) -> None:
        """The tokens of one address first, then its coins, as far as they are not needed for the tokens' way."""
        has, least = owned[address], wish.least
        tokens = [form for form in forms if form.contract and _is_enough(form, has.get(form.contract), least)]
        gas: dict[str, int] = {}
        for form in tokens:
            try:
                gas[form.code] = await self._gas(address, wish.target, form, has.get(form.contract) or 0)
            except TreasuryRefused as refused:
                draft.notes.append(str(refused))
        tokens = [form for form in tokens if form.code in gas]
        needed, coins = sum(gas.values()) * draft.fees.most, has.get(None) or 0
        if needed > coins:
            if wish.gas_from is None:
                short = canonical(CONTEXT.scaleb(Decimal(needed - coins), -18))
                draft.notes.append(f"{address} lacks {short} {self._chain.native} for its tokens' way (--gas-from)")
                tokens, needed = [], 0
            else:
                coin = next(form for form in self._forms if form.contract is None)
                text = f"pays for the way of {address}'s tokens"
                await self._add(draft, _Payment(text, wish.gas_from, address, coin, needed - coins, PLAIN_GAS))
        stage = 2 if tokens and needed > coins else 1
        for form in tokens:
            units = has.get(form.contract) or 0
            await self._add(
                draft, _Payment(f"sweeps {form.code}", address, wish.target, form, units, gas[form.code], stage)
            )
        coin_form = next((form for form in forms if form.contract is None), None)
        if coin_form is None or needed >= coins:
            return
        coin_gas = await self._gas(address, wish.target, coin_form, 1)
        left = coins - needed - coin_gas * draft.fees.most
        if left > 0 and _is_enough(coin_form, left, least):
            await self._add(
                draft, _Payment(f"sweeps {coin_form.code}", address, wish.target, coin_form, left, coin_gas)
            )

    async def _add(self, draft: _Draft, payment: _Payment) -> None:
        sender, form = payment.sender, payment.form
        nonce = draft.nonces.get(sender)
        if nonce is None:
            nonce = await self._client.nonce(sender, at=PENDING)
        draft.nonces[sender] = nonce + 1
        contract, value, data = payment.to, payment.units, b""
        if form.contract is not None:
            contract, value, data = form.contract, 0, _transfer(payment.to, payment.units)
        unsigned = {
            "type": "0x2",
            "chainId": hex(draft.chain_id),
            "nonce": hex(nonce),
            "to": contract,
            "value": hex(value),
            "gas": hex(payment.gas),
            "maxFeePerGas": hex(draft.fees.most),
            "maxPriorityFeePerGas": hex(draft.fees.priority),
            "data": "0x" + data.hex(),
        }
        draft.moves.append(
            MoveEntry(
                number=0,
                stage=payment.stage,
                purpose=payment.purpose,
                asset=form.code,
                units=str(payment.units),
                fee=str(payment.gas * draft.fees.most),
                sources=(sender,),
                paths=(draft.wallets.path(sender),),
                target=payment.to,
                unsigned=unsigned,
            )
        )

    async def _gas(self, sender: str, to: str, form: EvmForm, units: int) -> int:
        """With a margin, but for a plain transfer of coins, which always takes the same."""
        contract, data, value = (to, b"", units) if form.contract is None else (form.contract, _transfer(to, units), 0)
        try:
            gas = await self._client.estimate_gas(sender, contract, data, value)
        except NodeRefused as refused:
            meant = meaning(refused)
            if meant.kind is Refusal.INSUFFICIENT_GAS:
                raise TreasuryRefused(f"{sender} has too little of it now") from None
            said = meant.said
            reason = f": {said}" if said else ""
            raise TreasuryRefused(f"{form.code} cannot be moved from {sender} now{reason}") from None
        return gas if gas == PLAIN_GAS else gas * (100 + MARGIN_PERCENT) // 100

    async def _require_gas(self, draft: _Draft, gas_from: str | None) -> None:
        spent = sum(int(move.units) + int(move.fee) for move in draft.moves if gas_from in move.sources)
        if gas_from is not None and spent and await self._client.balance(gas_from) < spent:
            raise TreasuryRefused(f"{gas_from} has too little to pay for the tokens' way")

    async def _draft(self, wallets: Wallets) -> _Draft:
        offer = (await self._client.gas_offers()).fast
        most = offer.most * FEE_TIMES
        return _Draft(wallets, self._client.chain_id, _Fees(most, most if offer.priority is None else offer.priority))

    async def _owned(self, addresses: Sequence[str]) -> Owned:
        """What these addresses have as of the newest block."""
        block = await self._client.block()
        if block is None or not addresses:
            return {}
        contracts = sorted({form.contract for form in self._forms if form.contract is not None})
        multicall = self._chain.evm.multicall
        found = await self._client.pool.use(
            lambda node: evm_reserves(node, block, addresses, contracts, multicall=multicall)
        )
        return found.owned


def _is_enough(form: EvmForm, units: int | None, least: Decimal) -> bool:
    return bool(units) and form.amount(units or 0) >= least


def _transfer(to: str, units: int) -> bytes:
    return TRANSFER + encode(["address", "uint256"], [to, units])
