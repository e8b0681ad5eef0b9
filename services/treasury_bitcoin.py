"""What is exported to be signed on a chain of Bitcoin's kind: PSBTs (BIP-174) that say where the key of each input is found, as far as it is known here.

One sweep gathers many deposit addresses in one transaction, which shows everybody that they are one owner's.
"""

from base64 import b64encode
from collections.abc import Mapping, Sequence
from decimal import Decimal
from random import Random

from embit.bip32 import parse_path
from embit.ec import PublicKey
from embit.hashes import hash160
from embit.psbt import PSBT, DerivationPath, InputScope
from embit.script import Script

from core.money import CONTEXT
from integrations.chains.bitcoin.addresses import BitcoinAddress, NotAnAddress, ScriptType, parse_address, script_of
from integrations.chains.bitcoin.client import BitcoinClient
from integrations.chains.bitcoin.coins import MOST_INPUTS, CannotPay, Coin, FeeTerms, Selection, select, sweep
from integrations.chains.bitcoin.errors import Refusal, TransactionRefused
from integrations.chains.bitcoin.keys import BitcoinAccount
from integrations.chains.bitcoin.psbt import Prepared, build, read_prepared
from integrations.chains.bitcoin.signed import differences, read_signed
from integrations.chains.bitcoin.transactions import NotReadable, TxOutput, serialize
from models.chain import ChainEntry
from models.deposit_address import DepositAddressDocument
from models.treasury_export import MoveEntry
from services.treasury import MoveState, MoveWish, Plan, SignedMove, SweepWish, TreasuryRefused, Wallets

_SIGNED_WITH_ONE_KEY = frozenset({ScriptType.P2PKH, ScriptType.P2SH, ScriptType.P2WPKH, ScriptType.P2TR})
_NEED_PREVIOUS = frozenset({ScriptType.P2PKH, ScriptType.P2SH})
MOST_PER_KVB = 1_000_000
_DECIMALS = 8


class BitcoinTreasury:
    """Of one chain. `account`: the extended public key that deposit addresses are derived from; None: there are none."""

    def __init__(self, client: BitcoinClient, chain: ChainEntry, account: BitcoinAccount | None) -> None:
        self._client = client
        self._chain = chain
        self._account = account

    async def sweep(self, wallets: Wallets, wish: SweepWish) -> Plan:
        if wish.assets - {self._chain.native} or wish.gas_from is not None:
            raise TreasuryRefused(f"{self._chain.key} has {self._chain.native} alone, which pays its own fee")
        target = self._address(wish.target)
        given = [self._address(each) for each in wallets.deposits]
        coins = await self._coins(await self._with_something(given, wish.least))
        most = min(wish.most, MOST_INPUTS)
        try:
            chosen = sweep(coins, target.script, await self._fees(), most_inputs=most)
        except CannotPay as refused:
            raise TreasuryRefused(f"what is on deposit addresses cannot be swept now: {refused}") from None
        left = len(coins) - len(chosen.coins)
        notes = [f"{left} more coins stay: they cost more than they hold, or {most} are enough for one"] if left else []
        return Plan([await self._entry(wallets, chosen, target, "sweeps deposit addresses")], notes)

    async def move(self, wallets: Wallets, wish: MoveWish) -> Plan:
        sats = CONTEXT.scaleb(wish.amount, _DECIMALS)
        if wish.asset != self._chain.native or sats <= 0 or sats != sats.to_integral_value():
            raise TreasuryRefused(f"expected an amount of {self._chain.native} above 0 with at most {_DECIMALS} digits")
        source, target = self._address(wish.source), self._address(wish.target)
        if source.type not in _SIGNED_WITH_ONE_KEY:
            raise TreasuryRefused(
                f"{wish.source} is signed for by several keys: let their own software make the payment"
            )
        coins, payment = await self._coins([source]), TxOutput(target.script, int(sats))
        try:
            chosen = select(coins, [payment], source.script, await self._fees(), Random(wish.source))
        except CannotPay as refused:
            raise TreasuryRefused(f"{wish.source} cannot pay it now: {refused}") from None
        return Plan([await self._entry(wallets, chosen, target, f"{wish.asset} to {wish.target}")])

    def check(self, move: MoveEntry, signed: str) -> SignedMove:
        try:
            found = read_signed(signed)
        except NotReadable as problem:
            raise TreasuryRefused(f"it cannot be read: {problem}") from None
        prepared = read_prepared(move.unsigned["psbt"])
        different = [each for each in differences(prepared, found, self._client.network) if not each.harmless]
        if different:
            said = " ".join(each.sentence for each in different)
            raise TreasuryRefused(f"what was signed is not what was exported: {said}")
        return SignedMove(found.tx.txid, found.raw)

    async def send(self, raw: bytes) -> None:
        try:
            await self._client.broadcast(raw)
        except TransactionRefused as refused:
            kind = refused.problem.kind
            if kind is Refusal.INPUTS_MISSING:
                raise TreasuryRefused("another transaction has spent its coins; export again") from None
            if kind is not Refusal.ALREADY_KNOWN:
                raise TreasuryRefused(f"the chain does not take it: {refused.problem.sentence}") from None

    async def look(self, hash_: str) -> MoveState:
        found = await self._client.transaction(hash_)
        return MoveState.SENT if found is None or found.place is None else MoveState.INCLUDED

    async def _entry(self, wallets: Wallets, chosen: Selection, target: BitcoinAddress, purpose: str) -> MoveEntry:
        previous = await self._previous(chosen.coins)
        prepared = build(chosen.coins, chosen.outputs, previous=previous)
        rows = self._rows(wallets)
        sources = dict.fromkeys(self._text(each.script, wallets) for each in prepared.coins)
        paid = sum(each.sats for each in chosen.outputs if each.script == target.script)
        return MoveEntry(
            number=1,
            purpose=purpose,
            asset=self._chain.native,
            units=str(paid),
            fee=str(chosen.fee),
            sources=tuple(sources),
            paths=tuple(wallets.path(each) for each in sources),
            target=target.text,
            unsigned={"psbt": self._with_paths(prepared, rows)},
        )

    def _with_paths(self, prepared: Prepared, rows: Mapping[bytes, DepositAddressDocument]) -> str:
        """The PSBT with where each key is found, for those wallets that sign only what they know as theirs."""
        psbt = PSBT.from_base64(prepared.psbt)
        for scope, coin in zip(psbt.inputs, prepared.coins, strict=True):
            row = rows.get(coin.script)
            if row is not None and self._account is not None:
                _describe_key(scope, self._account, row.index)
        return b64encode(psbt.serialize()).decode()

    def _rows(self, wallets: Wallets) -> dict[bytes, DepositAddressDocument]:
        return {self._address(address).script: row for address, row in wallets.deposits.items()}

    def _text(self, script: bytes, wallets: Wallets) -> str:
        known = [*wallets.cold, *wallets.deposits]
        return next(each for each in known if self._address(each).script == script)

    def _address(self, text: str) -> BitcoinAddress:
        try:
            return parse_address(text, self._client.network)
        except NotAnAddress as refused:
            raise TreasuryRefused(f"{text}: {refused}") from None

    async def _with_something(self, addresses: Sequence[BitcoinAddress], least: Decimal) -> list[BitcoinAddress]:
        """All are asked for at once: an own node reads all unspent outputs for it, once."""
        if not addresses:
            return []
        told = await self._client.pool.use(lambda node: node.confirmed(addresses))
        needed = max(1, int(CONTEXT.scaleb(least, _DECIMALS)))
        return [each for each in addresses if (told.owned[each.text][None] or 0) >= needed]

    async def _coins(self, addresses: Sequence[BitcoinAddress]) -> list[Coin]:
        found: list[Coin] = []
        for address in addresses:
            owned = (await self._client.unspent(address)).spendable()
            found += [Coin(each.outpoint, each.sats, address.script) for each in owned]
        return found

    async def _previous(self, coins: Sequence[Coin]) -> dict[str, bytes]:
        """The transactions that coins come from whose signatures do not cover their amounts."""
        found: dict[str, bytes] = {}
        for coin in coins:
            txid = coin.outpoint.txid
            if coin.type in _NEED_PREVIOUS and txid not in found:
                told = await self._client.transaction(txid)
                if told is None:
                    raise TreasuryRefused(f"no node knows {txid}, which the coins come from")
                tx = told.tx
                found[txid] = serialize(tx.inputs, tx.outputs, version=tx.version, locktime=tx.locktime)
        return found

    async def _fees(self) -> FeeTerms:
        rate = (await self._client.fee_rates()).usual
        if rate > MOST_PER_KVB:
            raise TreasuryRefused("fees are higher than is ever paid here now")
        return FeeTerms(rate, dust_per_kvb=self._client.network.dust_per_kvb)


def _describe_key(scope: InputScope, account: BitcoinAccount, index: int) -> None:
    """BIP-174 and BIP-371. Where nobody told the master key's fingerprint, the account's key stands for it, as Bitcoin Core does."""
    public = PublicKey.parse(account.key.public_key(index))
    if account.key.fingerprint is None:
        path = DerivationPath(hash160(account.key.key.key.sec())[:4], [0, index])
    else:
        path = DerivationPath(bytes.fromhex(account.key.fingerprint), parse_path(account.path(index)))
    if account.type is ScriptType.P2TR:
        scope.taproot_bip32_derivations[public] = ([], path)
        scope.taproot_internal_key = public
        return
    scope.bip32_derivations[public] = path
    if account.type is ScriptType.P2SH:
        scope.redeem_script = Script(script_of(ScriptType.P2WPKH, hash160(public.sec())))
