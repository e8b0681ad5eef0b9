"""Solana's transactions: verified by solders, executed by LiteSVM, and refused when they are not this key's alone."""

import pytest
from coincurve import PrivateKey
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import given
from hypothesis import strategies as st
from solders.hash import Hash
from solders.instruction import AccountMeta, Instruction
from solders.keypair import Keypair
from solders.litesvm import LiteSVM
from solders.message import Message, MessageV0, to_bytes_versioned
from solders.pubkey import Pubkey
from solders.system_program import TransferParams, transfer
from solders.transaction import VersionedTransaction

from integrations.signers.base import Curve, SignerRefused
from integrations.signers.keystore import KeystoreSigner
from integrations.signers.kms import Kms, KmsSigner
from integrations.signers.solana import sign_solana, solana_address
from tests.kms import ED25519_SPEC, REGION, make_key

SEED = bytes(range(32))
KEYPAIR = Keypair.from_seed(SEED)
PAYER = KEYPAIR.pubkey()
SIGNER = KeystoreSigner("solana=keystore:k", Ed25519PrivateKey.from_private_bytes(SEED))
TO = Pubkey.from_bytes(b"\x07" * 32)
BLOCKHASH = Hash.from_bytes(b"\x05" * 32)


def message(payer: Pubkey = PAYER, *more: Instruction, blockhash: Hash = BLOCKHASH) -> MessageV0:
    pay = transfer(TransferParams(from_pubkey=payer, to_pubkey=TO, lamports=1_000_000))
    return MessageV0.try_compile(payer, [pay, *more], [], blockhash)


async def test_bytes_and_id_are_those_of_solders() -> None:
    for compiled in (message(), Message.new_with_blockhash([], PAYER, BLOCKHASH)):
        signed = await sign_solana(SIGNER, to_bytes_versioned(compiled))
        peer = VersionedTransaction(compiled, [KEYPAIR])
        assert signed.raw == bytes(peer)
        assert signed.hash == str(peer.signatures[0])
        assert VersionedTransaction.from_bytes(signed.raw).verify_with_results() == [True]


async def test_the_longest_message_that_fits_and_one_more_byte() -> None:
    room = 1232 - 65 - len(to_bytes_versioned(message(PAYER, noted(data=bytes(900))))) + 900
    for size, fits in ((room, True), (room + 1, False)):
        raw = to_bytes_versioned(message(PAYER, noted(data=bytes(size))))
        if fits:
            assert len((await sign_solana(SIGNER, raw)).raw) == 1232
            continue
        with pytest.raises(SignerRefused, match="longer than 1232 bytes"):
            await sign_solana(SIGNER, raw)


async def test_its_address_is_the_key() -> None:
    assert solana_address(await SIGNER.public_key()) == str(PAYER)


async def test_a_chain_executes_what_kms_signed(kms_url: str) -> None:
    alias = make_key(kms_url, ED25519_SPEC)
    kms = Kms(REGION, kms_url)
    signer = KmsSigner(kms, f"solana=kms:{alias}", alias, Curve.ED25519)
    payer = Pubkey.from_string(solana_address(await signer.public_key()))
    chain = LiteSVM()
    chain.airdrop(payer, 10**9)
    signed = await sign_solana(signer, to_bytes_versioned(message(payer, blockhash=chain.latest_blockhash())))
    chain.send_transaction(VersionedTransaction.from_bytes(signed.raw))
    assert chain.get_balance(TO) == 1_000_000
    await kms.close()


def noted(*signers: Pubkey, data: bytes = b"") -> Instruction:
    return Instruction(Pubkey.from_bytes(b"\x09" * 32), data, [AccountMeta(each, True, False) for each in signers])


@pytest.mark.parametrize(
    ("raw", "words"),
    [
        (to_bytes_versioned(message(TO)), "has to be signed by .* alone, who pays its fee"),
        (to_bytes_versioned(message(PAYER, noted(TO))), "has to be signed by .* alone"),
        (to_bytes_versioned(message(PAYER, noted(data=bytes(1300)))), "longer than 1232 bytes"),
        (to_bytes_versioned(message()) + b"\0", "bytes that belong to none of its fields|cannot be read"),
        (to_bytes_versioned(message())[:-1], "cannot be read"),
        (b"\x82" + to_bytes_versioned(message())[1:], "cannot be read|of a version"),
        (b"", "cannot be read"),
        (bytes(4096), "cannot be read|has to be signed|belong to none"),
    ],
)
async def test_messages_that_are_not_signed(raw: bytes, words: str) -> None:
    with pytest.raises(SignerRefused, match=words):
        await sign_solana(SIGNER, raw)


@given(st.data())
async def test_garbled_messages_are_refused_or_signed_as_they_stand(data: st.DataObject) -> None:
    raw = bytearray(to_bytes_versioned(message()))
    for _ in range(data.draw(st.integers(1, 3))):
        raw[data.draw(st.integers(0, len(raw) - 1))] = data.draw(st.integers(0, 255))
    garbled = bytes(raw)
    try:
        signed = await sign_solana(SIGNER, garbled)
    except SignerRefused:
        return
    assert signed.raw.endswith(garbled)
    assert VersionedTransaction.from_bytes(signed.raw).message.account_keys[0] == PAYER


async def test_a_key_of_another_curve_signs_none() -> None:
    with pytest.raises(SignerRefused, match="is a key of SECP256K1"):
        await sign_solana(KeystoreSigner("k", PrivateKey(b"\x11" * 32)), to_bytes_versioned(message()))
