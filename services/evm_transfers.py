"""Transactions of EVM chains worked out for people to sign: a transfer of coins or tokens, or a call of a contract, with nonce and fees of this moment."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import NamedTuple

from eth_abi.abi import encode

from core.refusals import WalletRefused
from core.wallet_vocabulary import FeeSpeed, WalletErrorCode
from core.wallet_vocabulary import TransactionWarningCode as Warn
from events.token import TokenState
from integrations.chains.errors import ChainError, NodeRefused
from integrations.chains.evm.client import EvmClient
from models.chain import ChainEntry
from models.prepared_transaction import PreparedTransactionDocument, WarningEntry
from services.abi_arguments import call_data, function_of
from services.abi_types import AbiInvalid
from services.address_warnings import warning
from services.chain_addresses import named_address
from services.chain_failures import refused
from services.chains import Chains
from services.contract_reads import ContractCallWish
from services.evm_terms import Draft, Terms, require_fee, terms_of, too_little, whole
from services.prepared_transactions import PreparedTransactions, Unsigned, units_of, wanted_units
from services.sending_families import TransferWish
from services.tokens import Tokens
from services.transaction_effects import effects_of

COIN_DIGITS = 18
TRANSFER = bytes.fromhex("a9059cbb")
BALANCE_OF = bytes.fromhex("70a08231")


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


class EvmTransfers:
    """One per process."""

    def __init__(self, chains: Chains, tokens: Tokens, prepared: PreparedTransactions) -> None:
        self._chains = chains
        self._tokens = tokens
        self._prepared = prepared

    async def transfer(self, user_id: str, wish: TransferWish) -> PreparedTransactionDocument:
        """A transfer of coins or tokens. Raises WalletRefused."""
        client = self._chains.evm(wish.chain)
        chain = self._chains.entries[wish.chain]
        ends = Ends(named_address(chain, wish.sender, "from"), named_address(chain, wish.to, "to"))
        try:
            token = await self._token(client, chain, wish.token)
            if ends.to == token.contract:
                text = "this is the token's own contract; what is sent there is lost"
                raise WalletRefused(text, reason=WalletErrorCode.ADDRESS_INVALID, field=["to"])
            draft, terms = await self._transfer(client, wish, ends, token)
            return await self._prepared.keep(user_id, await self.unsigned(client, draft, terms))
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
            return await self._prepared.keep(user_id, await self.unsigned(client, draft, terms, warnings))
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
        return await self._tokens.agreed(chain.key, contract)

    async def _transfer(
        self, client: EvmClient, wish: TransferWish, ends: Ends, token: TokenState
    ) -> tuple[Draft, Terms]:
        units = wanted_units(wish.amount, wish.send_all, token.decimals)
        if token.contract is not None:
            return await self._token_transfer(client, wish.speed, ends, token, units)
        draft = Draft(ends.sender, ends.to, units or 0, b"")
        terms = await terms_of(self._chains, client, draft, wish.speed)
        if units is None:
            draft = Draft(ends.sender, ends.to, terms.balance - terms.fee, b"")
            require_fee(terms, 1)
        require_fee(terms, draft.value)
        return draft, terms

    async def _token_transfer(
        self, client: EvmClient, speed: FeeSpeed, ends: Ends, token: TokenState, units: int | None
    ) -> tuple[Draft, Terms]:
        contract = token.contract or ""
        has = await holding(client, contract, ends.sender)
        if units is None:
            units = has
        if units > has or not units:
            raise too_little(has, max(units, 1), token.decimals)
        data = TRANSFER + encode(["address", "uint256"], [ends.to, units])
        draft = Draft(ends.sender, contract, 0, data)
        terms = await terms_of(self._chains, client, draft, speed)
        require_fee(terms, 0)
        return draft, terms

    async def unsigned(
        self, client: EvmClient, draft: Draft, terms: Terms, warnings: Sequence[WarningEntry] = ()
    ) -> Unsigned:
        """What is to be kept of a draft. Raises ChainError."""
        coin = self._tokens.coin(client.key)
        effects = await effects_of(coin, draft, lambda contract: self._tokens.agreed(client.key, contract))
        failing = [warning(Warn.SIMULATION_REVERTS)] if terms.reverts else []
        return Unsigned(
            chain=client.key,
            sender=draft.sender,
            to=draft.to,
            payload=_payload(client.chain_id, draft, terms),
            fee=whole(terms.fee, COIN_DIGITS),
            effects=effects,
            gas=terms.gas,
            nonce=terms.nonce,
            warnings=[*warnings, *failing],
        )


def _payload(chain_id: int, draft: Draft, terms: Terms) -> Mapping[str, str]:
    """As wallets take it in `eth_sendTransaction`."""
    fees = {"type": "0x0", "gasPrice": hex(terms.max_fee)}
    if terms.priority is not None:
        fees = {"type": "0x2", "maxFeePerGas": hex(terms.max_fee), "maxPriorityFeePerGas": hex(terms.priority)}
    return {
        **fees,
        "chainId": hex(chain_id),
        "nonce": hex(terms.nonce),
        "from": draft.sender,
        "to": draft.to,
        "value": hex(draft.value),
        "gas": hex(terms.gas),
        "data": "0x" + draft.data.hex(),
    }


async def holding(client: EvmClient, contract: str, owner: str) -> int:
    """What somebody has of a token. Raises WalletRefused when its contract does not tell."""
    try:
        answer = await client.call(contract, BALANCE_OF + encode(["address"], [owner]))
    except NodeRefused:
        answer = b""
    if len(answer) != 32:
        text = "this contract does not tell balances as a token does"
        raise WalletRefused(text, reason=WalletErrorCode.UNKNOWN_ASSET, field=["token"])
    return int.from_bytes(answer, "big")
