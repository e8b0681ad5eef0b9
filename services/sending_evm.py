"""Sending on EVM chains: signed bytes read and set against what was prepared, handed to every node, and looked for again."""

import re
from collections.abc import Mapping, Sequence

from core.refusals import WalletRefused
from core.wallet_vocabulary import WalletErrorCode
from events.token import TokenState
from integrations.chains.errors import ChainError, ChainUnavailable, Failure, NodeRefused, ProviderFailed
from integrations.chains.evm.errors import Refusal, meaning
from integrations.chains.evm.messages import read_transaction
from models.prepared_transaction import PreparedTransactionDocument
from services.chain_failures import refused
from services.chain_votes import answers_in, require_witnesses
from services.chains import Chains
from services.evm_sightings import sight_of
from services.evm_terms import Draft
from services.evm_transfers import EvmTransfers
from services.sending_families import Sighting, Signed, Spending, TransferWish
from services.signed_transactions import Expected, SignedEvm, differences, read_signed
from services.tokens import Tokens
from services.transaction_effects import counterparties, effects_of

_HASH = re.compile(r"0x[0-9a-fA-F]{64}", re.ASCII)


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
        said = (await client.send_raw_to_all(raw)).values()
        if not any(isinstance(each, str) or _is_known(each) for each in said):
            errors = [each for each in said if isinstance(each, ChainError)]
            refusal = next((each for each in errors if isinstance(each, NodeRefused)), None)
            if refusal is None or any(_may_have_taken(each) for each in errors):
                raise ChainUnavailable(chain, {str(place): str(each) for place, each in enumerate(errors, start=1)})
            known = await client.ask_every("eth_getTransactionByHash", [hash_], read_transaction)
            if all(each is None for each in answers_in(known)):
                require_witnesses(chain, known)
                raise refused(refusal, field=["signed"]) from refusal

    def transaction_hash(self, given: str) -> str:
        if _HASH.fullmatch(given) is None:
            text = "expected the hash of a transaction: 0x and 64 hexadecimal digits"
            raise WalletRefused(text, reason=WalletErrorCode.INVALID_INPUT, field=["hash"])
        return given.lower()

    async def sight(self, chain: str, hash_: str, sent: Spending | None = None) -> Sighting:
        return await sight_of(self._chains.evm(chain), hash_, self._chains.entries[chain].final_after, sent)

    async def _counterparties(self, chain: str, signed: SignedEvm) -> Sequence[str]:
        if signed.to is None:
            return []
        coin = self._tokens.coin(chain)

        async def nameless(_contract: str) -> TokenState:
            return coin

        draft = Draft(signed.sender, signed.to, signed.value, signed.data)
        effects = await effects_of(coin, draft, nameless)
        return counterparties(effects, signed.to)


def _is_known(said: str | ChainError) -> bool:
    return isinstance(said, NodeRefused) and meaning(said).kind is Refusal.ALREADY_KNOWN


def _may_have_taken(error: ChainError) -> bool:
    """Whether a node that did not answer as it should may have it all the same."""
    return isinstance(error, ProviderFailed) and error.failure in (Failure.TIMED_OUT, Failure.MALFORMED)


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
