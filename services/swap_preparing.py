"""From a quote to a transaction that its owner can sign: first an approval of exactly what is sold, where the spender may take less; then the swap.

What was checked when it was quoted (the recipient and the least that arrives, inside the call) holds, since the call is the same; what may have changed since is
looked up again: the end of the quote, what the owner has, what the spender may take, whether the call would succeed now.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace

from eth_abi.abi import encode

from core.clock import Clock
from core.money import canonical
from core.refusals import WalletRefused
from core.wallet_vocabulary import EffectKind, FeeSpeed, SwapStatus
from core.wallet_vocabulary import WalletErrorCode as Code
from integrations.chains.errors import ChainError, NodeRefused
from integrations.chains.evm.client import EvmClient
from integrations.swaps.base import SwapCall
from models.prepared_transaction import EffectEntry, PreparedTransactionDocument, TokenEntry
from models.swap import SwapDocument
from models.swap_quote import QuoteEntry
from services.chain_failures import refused
from services.chains import Chains
from services.evm_terms import Draft, require_fee, terms_of, too_little
from services.evm_transfers import EvmTransfers, holding
from services.prepared_transactions import PreparedTransactions
from services.swap_quotes import SwapQuotes, transaction_of
from services.swap_settlers import Settlers
from services.swaps import Swaps

TO_SIGN_MS = 60_000
"""So long after the end of its quote a swap is still taken signed: its own least amount protects who signs."""
_ALLOWANCE = bytes.fromhex("dd62ed3e")
"""`allowance(address,address)` (EIP-20)."""
_SWAP_TEXTS: Mapping[str, str] = {"swap": "Swap {amount} {token} for at least {least} {bought} with {provider}"}


@dataclass(frozen=True, slots=True)
class PreparedSwap:
    """What is to be signed next, and the swap that it is for."""

    transaction: PreparedTransactionDocument
    swap: SwapDocument


class SwapPreparing:
    """One per process."""

    def __init__(
        self,
        *,
        quotes: SwapQuotes,
        swaps: Swaps,
        settlers: Settlers,
        chains: Chains,
        evm: EvmTransfers,
        prepared: PreparedTransactions,
        clock: Clock,
    ) -> None:
        self._quotes = quotes
        self._swaps = swaps
        self._settlers = settlers
        self._chains = chains
        self._evm = evm
        self._prepared = prepared
        self._clock = clock

    async def prepare(self, user_id: str, quote_id: str, speed: FeeSpeed) -> PreparedSwap:
        """The next transaction of the swap. Raises WalletRefused; then nothing was stored."""
        row = await self._quotes.current(user_id, quote_id)
        known = await self._swaps.of_quote(user_id, quote_id)
        if known is not None and (known.status is not SwapStatus.PREPARED or known.source is not None):
            text = "this swap was sent already; ask for a new quote for another one"
            raise WalletRefused(text, reason=Code.ALREADY_KNOWN, field=["quoteId"])
        quote = row.quote
        client = self._chains.evm(quote.from_token.chain, field=["quoteId"])
        await self._require_genuine(quote)
        try:
            calls = transaction_of(quote, await allowance_of(client, quote))
            draft = Draft(quote.address, calls[0].to, calls[0].value, calls[0].data)
            terms = await terms_of(self._chains, client, draft, speed)
            require_fee(terms, draft.value)
            if terms.reverts:
                text = "this swap would fail now; ask for a new quote"
                raise WalletRefused(text, reason=Code.SIMULATION_REVERTED, field=["quoteId"])
            made = await self._evm.unsigned(client, draft, terms)
        except ChainError as error:
            raise refused(error) from error
        made = replace(made, trusted=frozenset({quote.call.to, quote.spender or quote.call.to}))
        swap = await self._swaps.prepare(row)
        if len(calls) == 1:
            made = replace(
                made,
                effects=_effects(quote, calls[0]),
                summary=_summary(quote),
                swap_id=swap.id,
                life_ms=quote.expires_ms + TO_SIGN_MS - self._clock.now_ms(),
            )
        return PreparedSwap(await self._prepared.keep(user_id, made), swap)

    async def _require_genuine(self, quote: QuoteEntry) -> None:
        if quote.settler is not None and not await self._settlers.is_genuine(quote.from_token.chain, quote.settler):
            text = "the contract of this quote is not proven to be the aggregator's any more; ask for a new quote"
            raise WalletRefused(text, reason=Code.QUOTE_EXPIRED, field=["quoteId"])


async def allowance_of(client: EvmClient, quote: QuoteEntry) -> int:
    """How much of what is sold the spender may take now, in its units; 0 for a coin. Raises ChainError, and WalletRefused where the owner has less than is sold."""
    token, spender = quote.from_token.contract, quote.spender
    if token is None or spender is None:
        return 0
    has, sold = await holding(client, token, quote.address), int(quote.amount_in.scaleb(quote.from_token.decimals))
    if has < sold:
        raise too_little(has, sold, quote.from_token.decimals)
    try:
        answer = await client.call(token, _ALLOWANCE + encode(["address", "address"], [quote.address, spender]))
    except NodeRefused:
        answer = b""
    if len(answer) != 32:
        text = "this contract does not tell allowances as a token does"
        raise WalletRefused(text, reason=Code.UNKNOWN_ASSET, field=["quoteId"])
    return int.from_bytes(answer, "big")


def _effects(quote: QuoteEntry, call: SwapCall) -> list[EffectEntry]:
    """What is paid, the call, and the least that arrives."""
    sold, bought = (TokenEntry(**each.model_dump()) for each in (quote.from_token, quote.to_token))
    paid = str(int(quote.amount_in.scaleb(sold.decimals)))
    least = str(int(quote.minimum_out.scaleb(bought.decimals)))
    return [
        EffectEntry(kind=EffectKind.TRANSFER, token=sold, sender=quote.address, to=call.to, units=paid),
        EffectEntry(kind=EffectKind.CONTRACT_CALL, sender=quote.address, to=call.to),
        EffectEntry(kind=EffectKind.TRANSFER, token=bought, sender=call.to, to=quote.address, units=least),
    ]


def _summary(quote: QuoteEntry) -> tuple[str, Mapping[str, str | int]]:
    return _SWAP_TEXTS["swap"], {
        "amount": canonical(quote.amount_in),
        "token": quote.from_token.symbol,
        "least": canonical(quote.minimum_out),
        "bought": quote.to_token.symbol,
        "provider": quote.provider.value,
    }
