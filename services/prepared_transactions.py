"""Transactions of EVM chains for people to sign with keys that this server never sees: a transfer, or a call of a contract.

Everything is looked up now and stored for ten minutes, so that what comes back signed can be set against it.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import NamedTuple

from eth_abi.abi import encode

from core.clock import Clock, to_datetime
from core.ids import random_id
from core.money import CONTEXT, canonical
from core.refusals import WalletRefused
from core.wallet_vocabulary import EffectKind, FeeSpeed, WalletErrorCode
from core.wallet_vocabulary import TransactionWarningCode as Warn
from events.token import TokenState
from integrations.chains.errors import ChainError, NodeRefused
from integrations.chains.evm.client import EvmClient
from models import prepared_transaction
from models.chain import ChainEntry
from models.prepared_transaction import EffectEntry, PreparedTransactionDocument, WarningEntry
from services.abi_arguments import call_data, function_of
from services.abi_types import AbiInvalid
from services.address_warnings import address_warnings, known_addresses, warning
from services.chain_addresses import named_address
from services.chain_failures import refused
from services.chains import Chains
from services.contract_reads import ContractCallWish
from services.evm_terms import Draft, Terms, require_fee, terms_of, too_little, whole
from services.tokens import Tokens
from services.transaction_effects import counterparties, effects_of

LIFE_MS = 10 * 60 * 1000
KEPT_MS = 24 * 60 * 60 * 1000
COIN_DIGITS = 18
TRANSFER = bytes.fromhex("a9059cbb")
BALANCE_OF = bytes.fromhex("70a08231")
_HIGH_FEE_PARTS = 10
"""A fee is high when it is more than a tenth of what is sent."""
_MOST_UNITS = 2**256 - 1
_SUMMARY_TEXTS: Mapping[EffectKind, str] = {
    EffectKind.TRANSFER: "Send {amount} {token} to {to}",
    EffectKind.APPROVE: "Let {to} take up to {amount} {token}",
    EffectKind.CONTRACT_CALL: "Call a function of {to}",
}
_UNLIMITED_TEXTS: Mapping[str, str] = {"all": "Let {to} take any amount of {token}"}
Worth = Callable[[str, Decimal], Decimal | None]
"""What an amount of an asset is worth in US dollars now; None: nobody knows."""


@dataclass(frozen=True, slots=True)
class TransferWish:
    """A transfer: `token` is a contract, or the symbol of the coin or of a token that this server vouches for; `amount` in whole units, None to send all."""

    chain: str
    sender: str
    to: str
    token: str
    amount: Decimal | None
    send_all: bool
    speed: FeeSpeed


@dataclass(frozen=True, slots=True)
class CallWish:
    """A call that is to become a transaction of `sender`, with so many whole coins."""

    call: ContractCallWish
    sender: str
    value: Decimal | None
    speed: FeeSpeed


class Ends(NamedTuple):
    """Whose it is, and who gets it."""

    sender: str
    to: str


class PreparedTransactions:
    """One per process."""

    def __init__(self, chains: Chains, tokens: Tokens, worth: Worth, clock: Clock) -> None:
        self._chains = chains
        self._tokens = tokens
        self._worth = worth
        self._clock = clock

    async def transfer(self, user_id: str, wish: TransferWish) -> PreparedTransactionDocument:
        """A transfer of coins or tokens. Raises WalletRefused."""
        client = self._chains.evm(wish.chain)
        chain = self._chains.entries[wish.chain]
        sender = named_address(chain, wish.sender, "from")
        to = named_address(chain, wish.to, "to")
        try:
            token = await self._token(client, chain, wish.token)
            if to == token.contract:
                text = "this is the token's own contract; what is sent there is lost"
                raise WalletRefused(text, reason=WalletErrorCode.ADDRESS_INVALID, field=["to"])
            draft, terms = await self._transfer(client, wish, sender, to, token)
            return await self._stored(user_id, client, draft, terms)
        except ChainError as error:
            raise refused(error) from error

    async def contract_call(self, user_id: str, wish: CallWish) -> PreparedTransactionDocument:
        """A call of a contract. Raises WalletRefused."""
        client = self._chains.evm(wish.call.chain)
        chain = self._chains.entries[wish.call.chain]
        sender = named_address(chain, wish.sender, "from")
        contract = named_address(chain, wish.call.contract, "contract")
        function = function_of(wish.call.abi, wish.call.function)
        data = call_data(function, wish.call.arguments)
        value = 0 if wish.value is None else units_of(wish.value, COIN_DIGITS, field="value", least=0)
        if value and not function.payable:
            raise AbiInvalid("this function takes no coins; leave `value` out", field=["value"])
        draft = Draft(sender, contract, value, data)
        try:
            terms = await terms_of(self._chains, client, draft, wish.speed)
            require_fee(terms, value)
            warnings = []
            if not await client.code(contract):
                warnings.append(warning(Warn.NO_CODE_AT_ADDRESS, address=contract))
            return await self._stored(user_id, client, draft, terms, warnings)
        except ChainError as error:
            raise refused(error) from error

    async def _token(self, client: EvmClient, chain: ChainEntry, given: str) -> TokenState:
        for each in self._tokens.listed(chain.key):
            if given in (each.symbol, each.contract) and not each.spam:
                return each
        if not given.startswith("0x"):
            text = "there is no such token on this chain; name it by its contract"
            raise WalletRefused(text, reason=WalletErrorCode.UNKNOWN_ASSET, field=["token"])
        contract = named_address(chain, given, "token")
        if not await client.code(contract):
            text = "there is no contract at this address"
            raise WalletRefused(text, reason=WalletErrorCode.UNKNOWN_ASSET, field=["token"])
        return await self._tokens.describe(chain.key, contract)

    async def _transfer(
        self, client: EvmClient, wish: TransferWish, sender: str, to: str, token: TokenState
    ) -> tuple[Draft, Terms]:
        if (wish.amount is None) is not wish.send_all:
            text = "give either an amount or `sendAll`"
            raise WalletRefused(text, reason=WalletErrorCode.AMOUNT_INVALID, field=["amount"])
        units = None if wish.amount is None else units_of(wish.amount, token.decimals)
        if token.contract is not None:
            return await self._token_transfer(client, wish.speed, Ends(sender, to), token, units)
        draft = Draft(sender, to, units or 0, b"")
        terms = await terms_of(self._chains, client, draft, wish.speed)
        if units is None:
            draft = Draft(sender, to, terms.balance - terms.fee, b"")
            require_fee(terms, 1)
        require_fee(terms, draft.value)
        return draft, terms

    async def _token_transfer(
        self, client: EvmClient, speed: FeeSpeed, ends: Ends, token: TokenState, units: int | None
    ) -> tuple[Draft, Terms]:
        contract = token.contract or ""
        has = await _holding(client, contract, ends.sender)
        if units is None:
            units = has
        if units > has or not units:
            raise too_little(has, max(units, 1), token.decimals)
        data = TRANSFER + encode(["address", "uint256"], [ends.to, units])
        draft = Draft(ends.sender, contract, 0, data)
        terms = await terms_of(self._chains, client, draft, speed)
        require_fee(terms, 0)
        return draft, terms

    async def _stored(
        self, user_id: str, client: EvmClient, draft: Draft, terms: Terms, warnings: Sequence[WarningEntry] = ()
    ) -> PreparedTransactionDocument:
        chain = client.key
        effects = await effects_of(
            self._tokens.coin(chain), draft, lambda contract: self._tokens.describe(chain, contract)
        )
        known = await known_addresses(user_id, self._chains.entries[chain].family)
        found = [each for address in counterparties(effects, draft.to) for each in address_warnings(address, known)]
        found += [*warnings, *self._of_effects(effects, terms)]
        now_ms = self._clock.now_ms()
        summary, values = _summary(effects[-1], draft.to)
        row = PreparedTransactionDocument(
            id=random_id(),
            user_id=user_id,
            chain=chain,
            chain_id=client.chain_id,
            sender=draft.sender,
            to=draft.to,
            value=str(draft.value),
            data=draft.data.hex(),
            gas=terms.gas,
            max_fee=str(terms.max_fee),
            priority_fee=None if terms.priority is None else str(terms.priority),
            nonce=terms.nonce,
            summary=summary,
            summary_values=values,
            effects=effects,
            warnings=found,
            created_ms=now_ms,
            expires_ms=now_ms + LIFE_MS,
            purge_at=to_datetime(now_ms + LIFE_MS + KEPT_MS),
        )
        await prepared_transaction.insert(row)
        return row

    def _of_effects(self, effects: Sequence[EffectEntry], terms: Terms) -> list[WarningEntry]:
        found = []
        for effect in effects:
            if effect.unlimited and effect.token is not None:
                found.append(warning(Warn.UNLIMITED_APPROVAL, address=effect.spender or "", token=effect.token.symbol))
            if effect.token is not None and effect.token.spam:
                found.append(warning(Warn.SPAM_TOKEN))
        if terms.reverts:
            found.append(warning(Warn.SIMULATION_REVERTS))
        if any(self._is_high(terms.fee, effect) for effect in effects):
            found.append(warning(Warn.HIGH_FEE))
        return found

    def _is_high(self, fee: int, effect: EffectEntry) -> bool:
        """Whether a fee is high beside what a transfer moves, in coins or, across assets, by what both are worth."""
        token = effect.token
        if effect.kind is not EffectKind.TRANSFER or token is None or effect.units is None:
            return False
        if token.contract is None:
            return fee * _HIGH_FEE_PARTS > int(effect.units)
        coin = self._tokens.coin(token.chain)
        if token.asset is None or coin.asset is None:
            return False
        paid = self._worth(coin.asset, whole(fee, COIN_DIGITS))
        moved = self._worth(token.asset, whole(int(effect.units), token.decimals))
        return paid is not None and moved is not None and paid * _HIGH_FEE_PARTS > moved


def units_of(amount: Decimal, decimals: int, *, field: str = "amount", least: int = 1) -> int:
    """An amount in whole units as smallest ones, at least so many. Raises WalletRefused with AMOUNT_INVALID."""
    scaled = CONTEXT.scaleb(amount, decimals)
    if scaled != scaled.to_integral_value() or not least <= scaled <= _MOST_UNITS:
        text = "expected an amount above 0 with at most {digits} digits after the point"
        raise WalletRefused(text, {"digits": decimals}, reason=WalletErrorCode.AMOUNT_INVALID, field=[field])
    return int(scaled)


async def _holding(client: EvmClient, contract: str, owner: str) -> int:
    """What somebody has of a token. Raises WalletRefused when its contract does not tell."""
    try:
        answer = await client.call(contract, BALANCE_OF + encode(["address"], [owner]))
    except NodeRefused:
        answer = b""
    if len(answer) != 32:
        text = "this contract does not tell balances as a token does"
        raise WalletRefused(text, reason=WalletErrorCode.UNKNOWN_ASSET, field=["token"])
    return int.from_bytes(answer, "big")


def _summary(effect: EffectEntry, to: str) -> tuple[str, dict[str, str | int]]:
    """What the transaction is about, as a template and its values."""
    values: dict[str, str | int] = {"to": effect.spender or effect.to or to}
    if effect.token is not None:
        values["token"] = effect.token.symbol
    if effect.unlimited:
        return _UNLIMITED_TEXTS["all"], values
    if effect.units is not None and effect.token is not None:
        values["amount"] = canonical(whole(int(effect.units), effect.token.decimals))
    return _SUMMARY_TEXTS[effect.kind], values
