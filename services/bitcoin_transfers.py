"""Transfers of Bitcoin worked out for people to sign: which of an address's outputs are spent, at what fee, and what comes back to it, as a PSBT (BIP-174).

What an address has is told by nodes that know addresses (Esplora's kind); Bitcoin Core alone reads all unspent outputs for it, minutes on the main network.
What each output holds is proven by the transaction that made it, so that no node can have somebody sign away more than is shown.
"""

import asyncio
from collections.abc import Mapping, Sequence
from decimal import Decimal
from random import Random
from typing import NamedTuple

from core.ids import random_id
from core.refusals import WalletRefused
from core.wallet_vocabulary import EffectKind, FeeSpeed, WalletErrorCode
from events.chain import FeeOffers
from events.token import TokenState
from integrations.chains.bitcoin.addresses import BitcoinAddress, ScriptType, parse_address
from integrations.chains.bitcoin.client import BitcoinClient
from integrations.chains.bitcoin.coins import CannotPay, Coin, FeeTerms, Selection, select, sweep
from integrations.chains.bitcoin.psbt import build
from integrations.chains.bitcoin.transactions import TxOutput, serialize
from integrations.chains.errors import ChainError, ChainUnavailable, NodesContradict
from models.chain import ChainEntry
from models.prepared_transaction import EffectEntry, PreparedTransactionDocument
from services.chain_addresses import named_address
from services.chain_failures import refused
from services.chains import Chains
from services.evm_terms import whole
from services.prepared_transactions import PreparedTransactions, Unsigned, wanted_units
from services.sending_families import TransferWish
from services.tokens import Tokens
from services.transaction_effects import token_entry

COIN_DIGITS = 8
MOST_PER_KVB = 1_000_000
"""1,000 sat/vB: above it nothing is prepared, for a node errs or lies about its fees."""
MOST_PREVIOUS_BYTES = 1_000_000
"""Of transactions that go into a PSBT so that a wallet can check amounts."""
_AT_ONCE = 8
_ANSWER_SECONDS = 20.0
"""Nodes that take longer to say what an address has are of no use to somebody who waits."""
_LEGACY = frozenset({ScriptType.P2PKH, ScriptType.P2SH})


class Ends(NamedTuple):
    """Whose it is, and who gets it."""

    sender: BitcoinAddress
    to: BitcoinAddress


class BitcoinTransfers:
    """One per process."""

    def __init__(
        self,
        chains: Chains,
        tokens: Tokens,
        prepared: PreparedTransactions,
        *,
        answer_seconds: float = _ANSWER_SECONDS,
    ) -> None:
        self._chains = chains
        self._tokens = tokens
        self._prepared = prepared
        self._answer_seconds = answer_seconds
        self._few = asyncio.Semaphore(_AT_ONCE)

    async def transfer(self, user_id: str, wish: TransferWish) -> PreparedTransactionDocument:
        """A transfer of the chain's coin; change goes back to the sender's address. Raises WalletRefused."""
        client = self._chains.bitcoin(wish.chain)
        chain = self._chains.entries[wish.chain]
        ends = Ends(_end(chain, client, wish.sender, "from"), _end(chain, client, wish.to, "to"))
        if ends.sender.type is ScriptType.P2WSH:
            text = "what this address has is spent by a script; expected an address of a single key"
            raise WalletRefused(text, reason=WalletErrorCode.ADDRESS_INVALID, field=["from"])
        coin = self._tokens.coin(chain.key)
        if wish.token != coin.symbol:
            text = "there is no such token on this chain, only its coin {coin}"
            raise WalletRefused(text, {"coin": coin.symbol}, reason=WalletErrorCode.UNKNOWN_ASSET, field=["token"])
        sats = wanted_units(wish.amount, wish.send_all, COIN_DIGITS)
        terms = FeeTerms(await self._rate(chain.key, wish.speed), dust_per_kvb=client.network.dust_per_kvb)
        try:
            async with asyncio.timeout(self._answer_seconds):
                owned = (await client.unspent(ends.sender)).spendable()
                coins = [Coin(each.outpoint, each.sats, each.script) for each in owned]
                chosen = _chosen(coins, ends, sats, terms)
                previous = await self._previous(client, chosen.coins)
        except TimeoutError as error:
            raise refused(ChainUnavailable(chain.key, {"all": "late"})) from error
        except CannotPay as problem:
            raise _cannot(problem) from None
        except ChainError as error:
            raise refused(error) from error
        psbt = build(chosen.coins, chosen.outputs, previous=_carried(chosen.coins, previous)).psbt
        return await self._prepared.keep(user_id, _unsigned(coin, ends, chosen, psbt))

    async def _rate(self, chain: str, speed: FeeSpeed) -> int:
        """Satoshis for 1,000 virtual bytes. Raises WalletRefused."""
        offers = await self._chains.fees(chain)
        if offers is None:
            text = "this server has no node of this chain"
            raise WalletRefused(text, reason=WalletErrorCode.PROVIDER_UNAVAILABLE)
        rate = _of_speed(offers, speed)
        if rate > MOST_PER_KVB:
            text = "the nodes of this chain advise a fee that nobody pays; nothing is prepared at it"
            raise WalletRefused(text, reason=WalletErrorCode.PROVIDER_LYING)
        return rate

    async def _previous(self, client: BitcoinClient, coins: Sequence[Coin]) -> Mapping[str, bytes]:
        """The transactions that made these coins, by txid. Raises ChainError, also where a coin is not what it was said to be."""

        async def fetched(txid: str) -> bytes:
            async with self._few:
                found = await client.transaction(txid)
            if found is None:
                raise NodesContradict(f"nodes of {client.chain} do not know {txid}, of which an output is listed")
            tx = found.tx
            for coin in coins:
                at = coin.outpoint.vout
                if coin.outpoint.txid != txid:
                    continue
                if at >= len(tx.outputs) or tx.outputs[at] != (coin.script, coin.sats):
                    raise NodesContradict(f"output {at} of {txid} is another than was listed")
            return serialize(tx.inputs, tx.outputs, version=tx.version, locktime=tx.locktime)

        txids = sorted({each.outpoint.txid for each in coins})
        return dict(zip(txids, await asyncio.gather(*map(fetched, txids)), strict=True))


def _end(chain: ChainEntry, client: BitcoinClient, given: str, field: str) -> BitcoinAddress:
    return parse_address(named_address(chain, given, field), client.network)


def _of_speed(offers: FeeOffers, speed: FeeSpeed) -> int:
    offer = {FeeSpeed.SLOW: offers.slow, FeeSpeed.STANDARD: offers.standard, FeeSpeed.FAST: offers.fast}[speed]
    return int((offer.rate or Decimal(0)).scaleb(3))


def _chosen(coins: Sequence[Coin], ends: Ends, sats: int | None, terms: FeeTerms) -> Selection:
    """Which coins pay. Raises CannotPay."""
    if sats is None:
        return sweep(coins, ends.to.script, terms)
    return select(coins, [TxOutput(ends.to.script, sats)], ends.sender.script, terms, Random(random_id()))


def _carried(coins: Sequence[Coin], previous: Mapping[str, bytes]) -> Mapping[str, bytes]:
    """What goes into the PSBT: all of it, or where that is much only what cannot be signed without. Raises WalletRefused when even that is too much."""
    if sum(map(len, previous.values())) <= MOST_PREVIOUS_BYTES:
        return previous
    needed = {each.outpoint.txid for each in coins if each.type in _LEGACY}
    carried = {txid: raw for txid, raw in previous.items() if txid in needed}
    actual = sum(map(len, carried.values()))
    if actual > MOST_PREVIOUS_BYTES:
        text = "this amount needs too many small coins at once; send less, or gather them first"
        raise WalletRefused(
            text,
            reason=WalletErrorCode.LIMIT_EXCEEDED,
            field=["amount"],
            limit=Decimal(MOST_PREVIOUS_BYTES),
            actual=Decimal(actual),
        )
    return carried


def _unsigned(coin: TokenState, ends: Ends, chosen: Selection, psbt: str) -> Unsigned:
    effect = EffectEntry(
        kind=EffectKind.TRANSFER,
        token=token_entry(coin),
        sender=ends.sender.text,
        to=ends.to.text,
        units=str(chosen.outputs[0].sats),
    )
    return Unsigned(
        chain=coin.chain,
        sender=ends.sender.text,
        to=ends.to.text,
        payload={"psbt": psbt},
        fee=whole(chosen.fee, COIN_DIGITS),
        effects=[effect],
    )


def _cannot(problem: CannotPay) -> WalletRefused:
    """In whole coins, but for what counts outputs."""
    digits = 0 if problem.code is WalletErrorCode.LIMIT_EXCEEDED else COIN_DIGITS
    limit, actual = whole(problem.limit, digits), whole(problem.actual, digits)
    return WalletRefused(str(problem), reason=problem.code, field=["amount"], limit=limit, actual=actual)
