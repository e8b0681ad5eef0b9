"""What nodes say when they refuse a transaction, in their own words of many versions."""

import pytest

from core.wallet_vocabulary import WalletErrorCode
from integrations.chains.bitcoin.errors import Refusal, problem_of
from integrations.chains.errors import NodeRefused

WORDS = [
    (-27, "Transaction already in block chain", Refusal.ALREADY_KNOWN, WalletErrorCode.ALREADY_KNOWN),
    (-27, "Transaction outputs already in utxo set", Refusal.ALREADY_KNOWN, WalletErrorCode.ALREADY_KNOWN),
    (-26, "txn-already-known", Refusal.ALREADY_KNOWN, WalletErrorCode.ALREADY_KNOWN),
    (-26, "txn-already-in-mempool", Refusal.ALREADY_KNOWN, WalletErrorCode.ALREADY_KNOWN),
    (
        *(-26, "txn-same-nonwitness-data-in-mempool"),
        *(Refusal.ALREADY_KNOWN, WalletErrorCode.ALREADY_KNOWN),
    ),
    (-26, "txn-mempool-conflict (code 18)", Refusal.CONFLICT, WalletErrorCode.TRANSACTION_REFUSED),
    (
        *(-26, "bip125-replacement-disallowed, too many potential replacements"),
        *(Refusal.CONFLICT, WalletErrorCode.TRANSACTION_REFUSED),
    ),
    (-26, "replacement-adds-unconfirmed", Refusal.CONFLICT, WalletErrorCode.TRANSACTION_REFUSED),
    (
        *(
            -26,
            "insufficient fee, rejecting replacement aa; new feerate 0.00001 BTC/kvB <= old feerate 0.00002 BTC/kvB",
        ),
        *(Refusal.REPLACEMENT_UNDERPRICED, WalletErrorCode.UNDERPRICED),
    ),
    (-26, "insufficient fee (code 66)", Refusal.REPLACEMENT_UNDERPRICED, WalletErrorCode.UNDERPRICED),
    (-26, "min relay fee not met, 100 < 141 (code 66)", Refusal.UNDERPRICED, WalletErrorCode.UNDERPRICED),
    (-26, "mempool min fee not met, 141 < 282", Refusal.UNDERPRICED, WalletErrorCode.UNDERPRICED),
    (-26, "mempool full", Refusal.UNDERPRICED, WalletErrorCode.UNDERPRICED),
    (-25, "Missing inputs", Refusal.INPUTS_MISSING, WalletErrorCode.TRANSACTION_REFUSED),
    (-25, "missing-inputs", Refusal.INPUTS_MISSING, WalletErrorCode.TRANSACTION_REFUSED),
    (-25, "bad-txns-inputs-missingorspent", Refusal.INPUTS_MISSING, WalletErrorCode.TRANSACTION_REFUSED),
    (
        *(-26, "bad-txns-premature-spend-of-coinbase, tried to spend coinbase at depth 5"),
        *(Refusal.IMMATURE, WalletErrorCode.TRANSACTION_REFUSED),
    ),
    (
        *(-26, "bad-txns-in-belowout, value in (1.00) < value out (2.00)"),
        *(Refusal.INSUFFICIENT_FUNDS, WalletErrorCode.INSUFFICIENT_FUNDS),
    ),
    (-26, "dust (code 64)", Refusal.DUST, WalletErrorCode.AMOUNT_TOO_SMALL),
    (-26, "dust, tx with dust output must be 0-fee", Refusal.DUST, WalletErrorCode.AMOUNT_TOO_SMALL),
    (-26, "non-final (code 64)", Refusal.NON_FINAL, WalletErrorCode.TRANSACTION_REFUSED),
    (-26, "non-BIP68-final", Refusal.NON_FINAL, WalletErrorCode.TRANSACTION_REFUSED),
    (
        *(-26, "mandatory-script-verify-flag-failed (Signature must be zero for failed CHECK(MULTI)SIG operation)"),
        *(Refusal.SIGNATURE_INVALID, WalletErrorCode.SIGNATURE_INVALID),
    ),
    (
        *(-26, "mempool-script-verify-flag-failed (Invalid Schnorr signature)"),
        *(Refusal.SIGNATURE_INVALID, WalletErrorCode.SIGNATURE_INVALID),
    ),
    (
        *(-25, "Fee exceeds maximum configured by user (e.g. -maxtxfee, maxfeerate)"),
        *(Refusal.FEE_TOO_HIGH, WalletErrorCode.TRANSACTION_REFUSED),
    ),
    (-26, "max-fee-exceeded", Refusal.FEE_TOO_HIGH, WalletErrorCode.TRANSACTION_REFUSED),
    (
        *(-26, "too-long-mempool-chain, too many unconfirmed ancestors [limit: 25]"),
        *(Refusal.TOO_MANY_UNCONFIRMED, WalletErrorCode.TRANSACTION_REFUSED),
    ),
    (
        *(-22, "TX decode failed. Make sure the tx has at least one input."),
        *(Refusal.NOT_READABLE, WalletErrorCode.TRANSACTION_REFUSED),
    ),
    (-26, "scriptpubkey", Refusal.OTHER, WalletErrorCode.TRANSACTION_REFUSED),
]


@pytest.mark.parametrize(("number", "words", "kind", "code"), WORDS)
def test_words_of_core_alone_and_passed_on(number: int, words: str, kind: Refusal, code: WalletErrorCode) -> None:
    problem = problem_of(NodeRefused(number, words))
    assert (problem.kind, problem.code, problem.name) == (kind, code, words)
    assert problem.sentence
    quoted = f'sendrawtransaction RPC error: {{"code":{number},"message":"{words}"}}'
    assert problem_of(NodeRefused(400, quoted)) == problem


@pytest.mark.parametrize(
    "message", ["", "RPC error: {", 'RPC error: {"message": 5}', "RPC error: {[]}", "x\n\x00" * 500]
)
def test_what_says_nothing(message: str) -> None:
    problem = problem_of(NodeRefused(400, message))
    assert problem.kind is Refusal.OTHER
    assert len(problem.name) <= 200
    assert problem.name.isprintable()
