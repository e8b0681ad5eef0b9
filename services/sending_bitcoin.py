"""Sending on chains of Bitcoin's kind: signed transactions read and set against what was prepared, handed to the nodes, and looked for again.

What a transaction spends are outputs (`txid:place`); of two that spend the same one the chain takes one. What a node says of a transaction's content is checked
against its txid; where it is, all nodes are asked.
"""

import re
from collections.abc import Sequence

from core.refusals import WalletRefused
from core.wallet_vocabulary import WalletErrorCode
from integrations.chains.bitcoin import signed as signed_psbts
from integrations.chains.bitcoin.addresses import address_of
from integrations.chains.bitcoin.errors import Refusal, TransactionRefused
from integrations.chains.bitcoin.psbt import read_prepared
from integrations.chains.bitcoin.transactions import NotReadable
from integrations.chains.errors import ChainError, ChainUnavailable, Failure, ProviderFailed
from models.prepared_transaction import PreparedTransactionDocument
from services.bitcoin_sightings import FEE, SPENT, answers_of, named, sight_of, spent_by
from services.bitcoin_transfers import BitcoinTransfers
from services.chain_addresses import bitcoin_network
from services.chain_votes import require_witnesses
from services.chains import Chains
from services.sending_families import Sighting, Signed, Spending, TransferWish

MOST_INPUTS = 200
"""Of a transaction that is sent from here."""
_HASH = re.compile(r"[0-9a-fA-F]{64}", re.ASCII)


class BitcoinSending:
    """A SendingFamily (`services/sending_families.py`)."""

    def __init__(self, chains: Chains, transfers: BitcoinTransfers) -> None:
        self._chains = chains
        self._transfers = transfers

    async def transfer(self, user_id: str, wish: TransferWish) -> PreparedTransactionDocument:
        return await self._transfers.transfer(user_id, wish)

    async def read(self, chain: str, text: str) -> Signed:
        client = self._chains.bitcoin(chain)
        try:
            found = signed_psbts.read_signed(text)
        except NotReadable as problem:
            text = "this is no signed transaction: {problem}"
            raise _refuse(text, problem=str(problem)) from None
        if found.unsigned:
            text = "input {number} is not signed, or not by a single key; have the wallet finalize it"
            raise _refuse(text, number=found.unsigned[0] + 1)
        if len(found.tx.inputs) > MOST_INPUTS or found.tx.coinbase:
            text = "a transaction that is sent from here spends 1 to {most} outputs"
            raise _refuse(text, most=MOST_INPUTS)
        spent = await spent_by(client, found.tx)
        if spent is None:
            text = "it spends outputs that the chain does not have"
            raise _refuse(text)
        fee = sum(each.sats for each in spent) - sum(each.sats for each in found.tx.outputs)
        if fee < 0:
            text = "it pays out more than it spends"
            raise _refuse(text)
        own = {each.script for each in spent}
        paid = [address_of(each.script, client.network) for each in found.tx.outputs if each.script not in own]
        return Signed(
            hash=found.tx.txid,
            raw=found.raw,
            sender=address_of(spent[0].script, client.network) or "",
            spends=tuple(named(each.outpoint) for each in found.tx.inputs),
            counterparties=tuple(dict.fromkeys(each for each in paid if each is not None)),
            terms={FEE: str(fee), SPENT: str(sum(each.sats for each in spent if each.script == spent[0].script))},
        )

    def differences(self, signed: Signed, prepared: PreparedTransactionDocument) -> Sequence[str]:
        network = bitcoin_network(self._chains.entries[prepared.chain])
        wanted = read_prepared(prepared.payload["psbt"])
        found = signed_psbts.differences(wanted, signed_psbts.read_signed(signed.raw.hex()), network)
        return [each.sentence for each in found if not each.harmless]

    async def send(self, chain: str, raw: bytes, hash_: str) -> None:
        client = self._chains.bitcoin(chain)
        said = (await client.broadcast_to_all(raw)).values()
        refusals = [each for each in said if isinstance(each, TransactionRefused)]
        has_it = any(isinstance(each, str) for each in said)
        if has_it or any(each.problem.kind is Refusal.ALREADY_KNOWN for each in refusals):
            return
        errors = [each for each in said if isinstance(each, ChainError)]
        if not refusals or any(_may_have_taken(each) for each in errors):
            raise ChainUnavailable(chain, {str(place): str(each) for place, each in enumerate(errors, start=1)})
        known = await client.transactions_of_all(hash_)
        if all(each is None for each in answers_of(client, known).values()):
            require_witnesses(chain, known)
            problem = refusals[0].problem
            raise WalletRefused(problem.sentence, reason=problem.code, field=["signed"]) from refusals[0]

    def transaction_hash(self, given: str) -> str:
        if _HASH.fullmatch(given) is None:
            text = "expected the id of a transaction: 64 hexadecimal digits"
            raise WalletRefused(text, reason=WalletErrorCode.INVALID_INPUT, field=["hash"])
        return given.lower()

    async def sight(self, chain: str, hash_: str, sent: Spending | None = None) -> Sighting:
        return await sight_of(self._chains.bitcoin(chain), hash_, self._chains.entries[chain].final_after, sent)


def _may_have_taken(error: ChainError) -> bool:
    """Whether a node that did not answer as it should may have it all the same."""
    return isinstance(error, ProviderFailed) and error.failure in (
        Failure.TIMED_OUT,
        Failure.MALFORMED,
        Failure.CONTRADICTS,
    )


def _refuse(text: str, **values: str | int) -> WalletRefused:
    return WalletRefused(text, values, reason=WalletErrorCode.TRANSACTION_REFUSED, field=["signed"])
