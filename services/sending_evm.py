"""Sending on EVM chains: signed bytes read and set against what was prepared, handed to every node, and looked for again."""

import re
from collections.abc import Mapping, Sequence
from decimal import Decimal

from core.refusals import WalletRefused
from core.wallet_vocabulary import WalletErrorCode
from events.token import TokenState
from integrations.chains.errors import NodeRefused
from integrations.chains.evm.client import EvmClient
from integrations.chains.evm.errors import Refusal, meaning
from integrations.chains.evm.messages import EvmReceipt
from models.broadcast import BroadcastDocument
from models.prepared_transaction import PreparedTransactionDocument
from services.chain_failures import refused
from services.chains import Chains
from services.evm_terms import Draft
from services.evm_transfers import COIN_DIGITS, EvmTransfers
from services.sending_families import Sighting, SightKind, Signed, TransferWish
from services.signed_transactions import Expected, SignedEvm, differences, read_signed
from services.tokens import Tokens
from services.transaction_effects import counterparties, effects_of

_HASH = re.compile(r"0x[0-9a-fA-F]{64}", re.ASCII)
_FAILED_TEXTS: Mapping[str, str] = {
    "said": "the contract refused the call: {said}",
    "silent": "the contract refused the call, or the gas did not suffice",
}


class EvmSending:
    """A SendingFamily (`services/sending_families.py`). What a transaction spends is its sender's nonce."""

    def __init__(self, chains: Chains, tokens: Tokens, transfers: EvmTransfers) -> None:
        self._chains = chains
        self._tokens = tokens
        self._transfers = transfers

    async def transfer(self, user_id: str, wish: TransferWish) -> PreparedTransactionDocument:
        return await self._transfers.transfer(user_id, wish)

    async def read(self, chain: str, text: str) -> Signed:
        client = self._chains.evm(chain)
        signed = read_signed(text)
        if signed.chain_id != client.chain_id:
            text = "it is signed for the chain {actual}, not for {wanted}"
            values: dict[str, str | int] = {"actual": signed.chain_id, "wanted": client.chain_id}
            raise WalletRefused(text, values, reason=WalletErrorCode.TRANSACTION_MISMATCH, field=["signed"])
        return Signed(
            hash=signed.hash,
            raw=signed.raw,
            sender=signed.sender,
            spends=(str(signed.nonce),),
            counterparties=tuple(await self._counterparties(chain, signed)),
        )

    def differences(self, signed: Signed, prepared: PreparedTransactionDocument) -> Sequence[str]:
        return differences(read_signed("0x" + signed.raw.hex()), _expected(prepared.payload))

    async def send(self, chain: str, raw: bytes, hash_: str) -> None:
        client = self._chains.evm(chain)
        try:
            await client.send_raw(raw)
        except NodeRefused as error:
            known = meaning(error).kind is Refusal.ALREADY_KNOWN or await client.transaction(hash_) is not None
            if not known:
                raise refused(error, field=["signed"]) from error

    def transaction_hash(self, given: str) -> str:
        if _HASH.fullmatch(given) is None:
            text = "expected the hash of a transaction: 0x and 64 hexadecimal digits"
            raise WalletRefused(text, reason=WalletErrorCode.INVALID_INPUT, field=["hash"])
        return given.lower()

    async def sight(self, chain: str, hash_: str, sent: BroadcastDocument | None = None) -> Sighting:
        client = self._chains.evm(chain)
        receipt = await client.receipt(hash_)
        if receipt is None:
            if await client.transaction(hash_) is not None:
                return Sighting(SightKind.WAITING)
            taken = sent is not None and await client.nonce(sent.sender) > int(sent.spends[0])
            return Sighting(SightKind.TAKEN if taken else SightKind.UNKNOWN)
        head = await client.block()
        confirmations = 1 if head is None else max(1, head.number - receipt.block + 1)
        error, values = (None, {}) if receipt.success else await self._reason(client, receipt)
        return Sighting(
            SightKind.INCLUDED if receipt.success else SightKind.FAILED,
            confirmations=confirmations,
            block=receipt.block,
            fee=Decimal(receipt.fee).scaleb(-COIN_DIGITS),
            final=confirmations >= self._chains.entries[chain].final_after,
            error=error,
            error_values=values,
        )

    async def _counterparties(self, chain: str, signed: SignedEvm) -> Sequence[str]:
        if signed.to is None:
            return []
        coin = self._tokens.coin(chain)

        async def nameless(_contract: str) -> TokenState:
            return coin

        draft = Draft(signed.sender, signed.to, signed.value, signed.data)
        effects = await effects_of(coin, draft, nameless)
        return counterparties(effects, signed.to)

    async def _reason(self, client: EvmClient, receipt: EvmReceipt) -> tuple[str, dict[str, str | int]]:
        """Why it failed, by asking again for the same call as of the block before; what came before it in its own block may have mattered."""
        sent = await client.transaction(receipt.hash)
        if sent is not None and sent.to is not None:
            try:
                await client.call(sent.to, sent.data, at=receipt.block - 1, sender=sent.sender, value=sent.value)
            except NodeRefused as error:
                said = meaning(error).said
                if said is not None:
                    return _FAILED_TEXTS["said"], {"said": said}
        return _FAILED_TEXTS["silent"], {}


def _expected(payload: Mapping[str, str]) -> Expected:
    return Expected(
        sender=payload["from"],
        chain_id=int(payload["chainId"], 16),
        nonce=int(payload["nonce"], 16),
        to=payload["to"],
        value=int(payload["value"], 16),
        gas=int(payload["gas"], 16),
        max_fee=int(payload.get("maxFeePerGas") or payload["gasPrice"], 16),
        data=bytes.fromhex(payload["data"][2:]),
    )
