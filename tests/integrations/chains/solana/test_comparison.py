"""A signed transaction beside what was prepared: every change has its name, and only the wallet's own computing budget is harmless."""

from collections.abc import Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from solders.compute_budget import set_compute_unit_limit, set_compute_unit_price
from solders.hash import Hash
from solders.instruction import AccountMeta, Instruction
from solders.keypair import Keypair
from solders.message import MessageAddressTableLookup, MessageV0, from_bytes_versioned, to_bytes_versioned
from solders.pubkey import Pubkey
from solders.system_program import AdvanceNonceAccountParams, advance_nonce_account
from solders.transaction import VersionedTransaction

from integrations.chains.solana.comparison import Difference, DifferenceKind, differences
from integrations.chains.solana.instructions import (
    Known,
    Memo,
    Other,
    SolTransfer,
    TokenTransfer,
    creation_of,
    decode,
    encode,
)
from integrations.chains.solana.transfers import Terms, fee_of, sol_transfer
from integrations.chains.solana.wire import (
    AnyMessage,
    UnreadableTransaction,
    from_base64,
    instructions_of,
    read_message,
    read_transaction,
    to_base64,
)
from tests.integrations.chains.solana.signing import address, signed, written

ME, YOU, THIEF = Keypair(), Keypair(), Keypair()
HASH = str(Hash.new_unique())
PREPARED = sol_transfer(Terms(address(ME), HASH, micro_lamports=1000), address(YOU), 5_000_000, "invoice 9")
MESSAGE: AnyMessage = from_bytes_versioned(from_base64(PREPARED.message))
LIMIT, PRICE = set_compute_unit_limit(30_000), set_compute_unit_price(1000)
PAY = encode(SolTransfer(address(ME), address(YOU), 5_000_000))
NOTE = encode(Memo("invoice 9"))


def compared(raw: bytes) -> list[Difference]:
    return differences(MESSAGE, read_transaction(raw))


def kinds(raw: bytes) -> list[DifferenceKind]:
    return [each.kind for each in compared(raw)]


def test_what_was_prepared_and_signed_has_no_differences() -> None:
    assert compared(signed(PREPARED, ME)) == []
    assert read_transaction(from_base64(PREPARED.transaction)).message == MESSAGE
    assert read_message(from_base64(PREPARED.message)) == MESSAGE


def test_what_nobody_signed_lacks_the_signature() -> None:
    (only,) = compared(from_base64(PREPARED.transaction))
    assert (only.kind, only.sentence) == (
        DifferenceKind.SIGNATURE,
        f"The signature of {address(ME)} is missing or wrong.",
    )


@pytest.mark.parametrize(
    ("instructions", "expected"),
    [
        ([PAY, NOTE], [DifferenceKind.COMPUTE_BUDGET]),
        ([LIMIT, set_compute_unit_price(9_000), PAY, NOTE], [DifferenceKind.COMPUTE_BUDGET]),
        ([set_compute_unit_limit(1_400_000), set_compute_unit_price(10**7), PAY, NOTE], [DifferenceKind.FEE_RAISED]),
        ([LIMIT, PRICE, PAY], [DifferenceKind.INSTRUCTION_MISSING]),
        ([LIMIT, PRICE, NOTE, PAY], [DifferenceKind.ORDER]),
        ([LIMIT, PRICE, PAY, NOTE, PAY], [DifferenceKind.INSTRUCTION_ADDED]),
        (
            [LIMIT, PRICE, encode(SolTransfer(address(ME), address(THIEF), 5_000_000)), NOTE],
            [DifferenceKind.INSTRUCTION_MISSING, DifferenceKind.INSTRUCTION_ADDED],
        ),
        (
            [LIMIT, PRICE, encode(SolTransfer(address(ME), address(YOU), 5_000_001)), NOTE],
            [DifferenceKind.INSTRUCTION_MISSING, DifferenceKind.INSTRUCTION_ADDED],
        ),
        (
            [
                advance_nonce_account(
                    AdvanceNonceAccountParams(nonce_pubkey=YOU.pubkey(), authorized_pubkey=ME.pubkey())
                ),
                *(LIMIT, PRICE, PAY, NOTE),
            ],
            [DifferenceKind.INSTRUCTION_ADDED],
        ),
    ],
)
def test_every_change_has_its_name(instructions: Sequence[Instruction], expected: list[DifferenceKind]) -> None:
    raw = written(ME, HASH, instructions)
    assert kinds(raw) == expected
    assert all(each.sentence.endswith(".") for each in compared(raw))
    assert [each.harmless for each in compared(raw)] == [each is DifferenceKind.COMPUTE_BUDGET for each in expected]


def test_who_pays_who_signs_and_until_when_are_compared() -> None:
    assert kinds(written(ME, str(Hash.new_unique()), [LIMIT, PRICE, PAY, NOTE])) == [DifferenceKind.BLOCKHASH]
    assert kinds(written(THIEF, HASH, [LIMIT, PRICE, PAY, NOTE], ME)) == [DifferenceKind.FEE_PAYER]
    guarded = Instruction(NOTE.program_id, NOTE.data, [AccountMeta(THIEF.pubkey(), is_signer=True, is_writable=False)])
    raw = written(ME, HASH, [LIMIT, PRICE, PAY, guarded], THIEF)
    assert kinds(raw)[0] is DifferenceKind.SIGNERS
    assert "invoice 9" in compared(raw)[1].sentence


def test_accounts_hidden_in_a_lookup_table_are_a_difference() -> None:
    assert isinstance(MESSAGE, MessageV0)
    hidden = MessageV0(
        MESSAGE.header,
        MESSAGE.account_keys,
        MESSAGE.recent_blockhash,
        MESSAGE.instructions,
        [MessageAddressTableLookup(YOU.pubkey(), b"\x00", b"")],
    )
    assert kinds(bytes(VersionedTransaction(hidden, [ME]))) == [DifferenceKind.LOOKUP_TABLE]


def test_instructions_are_read_back_as_they_were_written() -> None:
    mint, program = address(THIEF), str(Pubkey.from_string("TokenzQdBNbLqP5VEhdkAS6EPFLC1PHnBqCXEpPxuEb"))
    opening = creation_of(address(ME), address(YOU), mint, program)
    moved = TokenTransfer(program, opening.account, mint, opening.account, address(ME), 2**64 - 1, 255)
    wanted: list[Known] = [opening, moved, SolTransfer(address(ME), address(YOU), 2**64 - 1), Memo("é")]
    raw = written(ME, HASH, [encode(each) for each in wanted])
    assert [decode(each) for each in instructions_of(read_transaction(raw).message)] == wanted


def test_an_instruction_that_is_not_one_of_ours_stays_as_it_is() -> None:
    odd = Other("11111111111111111111111111111111", (address(ME),), b"\x02\x00\x00\x00")
    assert decode(odd) is odd
    assert odd.words == "call the program 11111111111111111111111111111111 with 1 accounts and 4 bytes"
    not_text = Other("MemoSq4gqABAXKb96qnH8TysNcWxMyWCqXgDLGmfcHr", (), b"\xff")
    assert decode(not_text) is not_text


@pytest.mark.parametrize("raw", [b"", b"\x00" * 100, b"\xff" * 100, signed(PREPARED, ME) + b"\x00", b"\x01" * 1233])
def test_bytes_with_another_meaning_or_none_are_refused(raw: bytes) -> None:
    with pytest.raises(UnreadableTransaction):
        read_transaction(raw)
    with pytest.raises(UnreadableTransaction):
        read_message(to_bytes_versioned(MESSAGE) + b"\x00")
    with pytest.raises(UnreadableTransaction):
        from_base64("é")


def test_a_header_that_contradicts_itself_is_refused() -> None:
    raw = bytearray(signed(PREPARED, ME))
    assert bytes(raw[65:69]) == bytes([0x80, 1, 0, 3])
    raw[67] = 1
    with pytest.raises(UnreadableTransaction):
        read_transaction(bytes(raw))
    with pytest.raises(UnreadableTransaction):
        read_message(bytes(raw[65:]))


@settings(max_examples=300, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 400), st.integers(0, 255)), min_size=1, max_size=6))
def test_no_changed_byte_goes_unnoticed(changes: list[tuple[int, int]]) -> None:
    right = signed(PREPARED, ME)
    raw = bytearray(right)
    for place, value in changes:
        raw[place % len(raw)] = value
    try:
        found = compared(bytes(raw))
    except UnreadableTransaction:
        return
    assert bool(found) == (bytes(raw) != right)
    if found:
        assert DifferenceKind.SIGNATURE in {each.kind for each in found}


def test_the_fee_of_a_message_without_a_limit_counts_the_default() -> None:
    priced = read_transaction(written(ME, HASH, [set_compute_unit_price(1_000_000), PAY, NOTE])).message
    assert fee_of(priced) == 5000 + 400_000
    assert to_base64(b"\x00") == "AA=="
