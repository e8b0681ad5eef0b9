"""A Solana chain for tests: blocks, forks and commitments around LiteSVM.

Real: the runtime (LiteSVM runs Agave's own), so every rule on signatures, fees, rent and compute; the System, SPL Token, Token-2022, Associated Token
and Memo programs as they are on mainnet. Imitated: consensus. A block is made for each transaction and on `advance`; it counts as confirmed with one
block on top, as final with 31; its hash is random and valid for 150 blocks, as on the chain. Nobody votes, nothing takes time.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import orjson
from solders.account import Account
from solders.hash import Hash
from solders.instruction import AccountMeta, Instruction
from solders.keypair import Keypair
from solders.litesvm import LiteSVM
from solders.message import MessageV0
from solders.pubkey import Pubkey
from solders.system_program import CreateAccountParams, TransferParams, create_account, create_nonce_account, transfer
from solders.transaction import VersionedTransaction
from solders.transaction_metadata import FailedTransactionMetadata, TransactionMetadata

from integrations.chains.solana.addresses import MEMO_PROGRAM, SYSTEM_PROGRAM, TOKEN_PROGRAM, associated_token_address
from integrations.chains.solana.instructions import creation_of, encode

HASH_BLOCKS = 150
"""How many blocks after its own a blockhash is valid for."""
FINAL_BLOCKS = 31
FIRST_SLOT, FIRST_HEIGHT = 1000, 900
FIRST_TIME = 1_750_000_000
SYSTEM = Pubkey.from_string(SYSTEM_PROGRAM)
_TABLE_HEADER_BYTES = 56
_ADVANCE_NONCE = bytes([4, 0, 0, 0])
_FEE_MINT_BYTES = 278
"""Of a mint of Token-2022 with a fee for transfers."""


@dataclass
class Landed:
    """A transaction in a block, with what it did to its accounts."""

    transaction: VersionedTransaction
    keys: list[Pubkey]
    loaded: tuple[list[Pubkey], list[Pubkey]]
    before: dict[Pubkey, Account | None]
    after: dict[Pubkey, Account | None]
    meta: TransactionMetadata
    error: object

    @property
    def signature(self) -> str:
        return str(self.transaction.signatures[0])


@dataclass
class Block:
    slot: int
    height: int
    hash: Hash
    parent: "Block | None"
    landed: list[Landed] = field(default_factory=list)

    @property
    def time(self) -> int:
        return FIRST_TIME + (self.slot - FIRST_SLOT) * 2 // 5


class Refused(Exception):
    """The runtime does not take a transaction: `error` as JSON."""

    def __init__(self, error: object, logs: Sequence[str] = (), units: int = 0) -> None:
        super().__init__(str(error))
        self.error = error
        self.logs = list(logs)
        self.units = units


class SolanaChain:
    """One chain; several nodes may serve it (`tests/solana_node.py`)."""

    def __init__(self) -> None:
        self.svm = LiteSVM().with_blockhash_check(False).with_transaction_history(0)
        self.genesis = str(Keypair().pubkey())
        self.faucet = Keypair()
        self.svm.set_account(self.faucet.pubkey(), Account(10**18, b"", SYSTEM))
        self.blocks = [Block(FIRST_SLOT, FIRST_HEIGHT, _random_hash(), None)]
        self.held: list[VersionedTransaction] | None = None
        self._airdrops = 0
        self._next_slot = FIRST_SLOT + 1
        self.advance(FINAL_BLOCKS + 1)

    @property
    def tip(self) -> Block:
        return self.blocks[-1]

    def advance(self, blocks: int = 1, *, skipped: int = 0) -> None:
        """Make empty blocks, after some slots without any."""
        self._next_slot += skipped
        for _ in range(blocks):
            self._grow()

    def finalize(self) -> None:
        """Make so many blocks that all there is now is final."""
        self.advance(FINAL_BLOCKS)

    def expire_blockhashes(self) -> None:
        """Make so many blocks that no blockhash of now is valid any more."""
        self.advance(HASH_BLOCKS + 1)

    def hold(self) -> None:
        """Take transactions without including them, until `release`; what is still held then has been dropped when its blockhash expires."""
        self.held = []

    def release(self) -> None:
        """Include what was held, as far as it is still valid."""
        held, self.held = self.held or [], None
        for each in held:
            if self.lives(each) and not self.find(str(each.signatures[0])):
                self.include(each)

    def fork_away(self, slot: int) -> None:
        """Undo all blocks from this slot on, which must not be final: others take their place, in later slots, with other hashes."""
        kept = [block for block in self.blocks if block.slot < slot]
        if len(self.blocks) - len(kept) > FINAL_BLOCKS:
            raise ValueError("a final block is not undone")
        for block in reversed(self.blocks[len(kept) :]):
            for landed in reversed(block.landed):
                for key, account in landed.before.items():
                    self.svm.set_account(key, account or Account(0, b"", SYSTEM))
        self.blocks = kept
        self._grow()

    def is_valid(self, blockhash: Hash, at: Block | None = None) -> bool:
        """Whether a transaction with this blockhash may be in the block after this one."""
        at = at or self.tip
        found = next((block for block in reversed(self.blocks) if block.hash == blockhash), None)
        return found is not None and found.height <= at.height < found.height + HASH_BLOCKS

    def find(self, signature: str) -> tuple[Block, Landed] | None:
        for block in reversed(self.blocks):
            for landed in block.landed:
                if landed.signature == signature:
                    return block, landed
        return None

    def account(self, key: Pubkey, slot: int) -> Account | None:
        """An account as it was at the end of a slot."""
        for block in self.blocks:
            for landed in block.landed if block.slot > slot else ():
                if key in landed.before:
                    return landed.before[key]
        return self.svm.get_account(key)

    def owned_by(self, program: Pubkey, slot: int) -> list[tuple[Pubkey, Account]]:
        """The accounts of a program as they were at the end of a slot."""
        keys = {key for key, _ in self.svm.get_program_accounts(program)}
        keys |= {key for block in self.blocks for landed in block.landed for key in landed.before}
        found = [(key, self.account(key, slot)) for key in sorted(keys, key=bytes)]
        return [(key, account) for key, account in found if account is not None and account.owner == program]

    def try_out(self, transaction: VersionedTransaction, *, signed: bool) -> tuple[TransactionMetadata, object]:
        """What would come of a transaction: its metadata and its error as JSON. `signed`: whether signatures are checked."""
        if self.find(str(transaction.signatures[0])):
            raise Refused("AlreadyProcessed")
        if not self.lives(transaction):
            raise Refused("BlockhashNotFound")
        self.svm.with_sigverify(signed)
        result = self.svm.simulate_transaction(transaction)
        self.svm.with_sigverify(True)
        if isinstance(result, FailedTransactionMetadata):
            return result.meta(), error_of(result)
        return result.meta(), None

    def accept(self, transaction: VersionedTransaction) -> None:
        """What a validator does with a transaction it was sent: include it, or hold it; what cannot even pay its fee vanishes."""
        if self.held is not None:
            self.held.append(transaction)
        elif self.lives(transaction) and not self.find(str(transaction.signatures[0])):
            self.include(transaction)

    def include(self, transaction: VersionedTransaction) -> None:
        """A block with this transaction."""
        loaded = self._loaded(transaction)
        keys = [*transaction.message.account_keys, *loaded[0], *loaded[1]]
        before = {key: self.svm.get_account(key) for key in keys}
        result = self.svm.send_transaction(transaction)
        failed = isinstance(result, FailedTransactionMetadata)
        meta = result.meta() if isinstance(result, FailedTransactionMetadata) else result
        after = {key: self.svm.get_account(key) for key in keys}
        if failed and before == after:
            return
        error = error_of(result) if isinstance(result, FailedTransactionMetadata) else None
        self._grow().landed.append(Landed(transaction, keys, loaded, before, after, meta, error))

    def airdrop(self, to: Pubkey, lamports: int) -> str:
        """Coins from the faucet, by a transaction of their own; its signature."""
        self._airdrops += 1
        paid = transfer(TransferParams(from_pubkey=self.faucet.pubkey(), to_pubkey=to, lamports=lamports))
        note = Instruction(Pubkey.from_string(MEMO_PROGRAM), f"airdrop {self._airdrops}".encode(), [])
        return self.run([paid, note], self.faucet)

    def run(self, instructions: Sequence[Instruction], payer: Keypair, *others: Keypair) -> str:
        """Sign and include a transaction of these instructions; its signature. Raises Refused when it fails."""
        message = MessageV0.try_compile(payer.pubkey(), instructions, [], self.tip.hash)
        transaction = VersionedTransaction(message, [payer, *others])
        meta, error = self.try_out(transaction, signed=True)
        if error is not None:
            raise Refused(error, meta.logs())
        self.include(transaction)
        return str(transaction.signatures[0])

    def make_token(self, program: str = TOKEN_PROGRAM, decimals: int = 6, *, fee_bps: int | None = None) -> Keypair:
        """A new token whose mint authority is the faucet; the keypair of its mint. `fee_bps`: of Token-2022, taken from what each transfer brings."""
        mint, owner = Keypair(), Pubkey.from_string(program)
        space = 82 if fee_bps is None else _FEE_MINT_BYTES
        rent = self.svm.minimum_balance_for_rent_exemption(space)
        params = CreateAccountParams(
            from_pubkey=self.faucet.pubkey(), to_pubkey=mint.pubkey(), lamports=rent, space=space, owner=owner
        )
        authority = bytes(self.faucet.pubkey())
        setup = bytes([20, decimals]) + authority + b"\x01" + authority
        written = [AccountMeta(mint.pubkey(), is_signer=False, is_writable=True)]
        fee = b"" if fee_bps is None else bytes([26, 0, 0, 0]) + fee_bps.to_bytes(2, "little") + b"\xff" * 8
        steps = [Instruction(owner, data, written) for data in (fee, setup) if data]
        self.run([create_account(params), *steps], self.faucet, mint)
        return mint

    def mint_to(self, owner: Pubkey, mint: Keypair, amount: int, program: str = TOKEN_PROGRAM) -> str:
        """New tokens for an owner, whose associated account is opened; the address of that account."""
        opened = creation_of(str(self.faucet.pubkey()), str(owner), str(mint.pubkey()), program)
        accounts = [
            AccountMeta(mint.pubkey(), is_signer=False, is_writable=True),
            AccountMeta(Pubkey.from_string(opened.account), is_signer=False, is_writable=True),
            AccountMeta(self.faucet.pubkey(), is_signer=True, is_writable=False),
        ]
        minted = Instruction(Pubkey.from_string(program), bytes([7]) + amount.to_bytes(8, "little"), accounts)
        self.run([encode(opened), minted], self.faucet)
        return associated_token_address(str(owner), str(mint.pubkey()), program)

    def make_nonce(self, authority: Pubkey) -> str:
        """A nonce account of this authority, final; its address."""
        account = Keypair()
        rent = self.svm.minimum_balance_for_rent_exemption(80)
        made = create_nonce_account(self.faucet.pubkey(), account.pubkey(), authority, rent)
        self.run(list(made), self.faucet, account)
        self.svm.expire_blockhash()  # a nonce cannot be used up in the block that it was made in
        self.finalize()
        return str(account.pubkey())

    def lives(self, transaction: VersionedTransaction, at: Block | None = None) -> bool:
        """Whether it may be in the block after this one: its blockhash is young enough, or it uses up the nonce of an account, which has that nonce now."""
        message = transaction.message
        first = message.instructions[0]
        if message.account_keys[first.program_id_index] == SYSTEM and bytes(first.data) == _ADVANCE_NONCE:
            account = self.svm.get_account(message.account_keys[first.accounts[0]])
            return account is not None and account.data[40:72] == bytes(message.recent_blockhash)
        return self.is_valid(message.recent_blockhash, at)

    def freeze(self, account: str, mint: Keypair, program: str = TOKEN_PROGRAM) -> None:
        """The token's issuer freezes a token account."""
        accounts = [
            AccountMeta(Pubkey.from_string(account), is_signer=False, is_writable=True),
            AccountMeta(mint.pubkey(), is_signer=False, is_writable=False),
            AccountMeta(self.faucet.pubkey(), is_signer=True, is_writable=False),
        ]
        self.run([Instruction(Pubkey.from_string(program), bytes([10]), accounts)], self.faucet)

    def _grow(self) -> Block:
        block = Block(self._next_slot, self.tip.height + 1, _random_hash(), self.tip)
        self._next_slot += 1
        self.blocks.append(block)
        return block

    def _loaded(self, transaction: VersionedTransaction) -> tuple[list[Pubkey], list[Pubkey]]:
        """The accounts of its lookup tables."""
        loaded: tuple[list[Pubkey], list[Pubkey]] = ([], [])
        message: Any = transaction.message
        for table in message.address_table_lookups if isinstance(message, MessageV0) else ():
            account = self.svm.get_account(table.account_key)
            listed = b"" if account is None else account.data[_TABLE_HEADER_BYTES:]
            entries = [Pubkey(listed[start : start + 32]) for start in range(0, len(listed), 32)]
            loaded[0].extend(entries[index] for index in table.writable_indexes)
            loaded[1].extend(entries[index] for index in table.readonly_indexes)
        return loaded


def error_of(failed: FailedTransactionMetadata) -> object:
    """The error as nodes write it."""
    found: object = orjson.loads(failed.to_json())["err"]
    return found


def _random_hash() -> Hash:
    return Hash(bytes(Keypair().pubkey()))
