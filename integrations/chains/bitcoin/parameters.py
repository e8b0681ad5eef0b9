"""What tells one chain of Bitcoin's kind from another."""

from dataclasses import dataclass

COIN = 100_000_000
"""Satoshis of one coin."""
MOST_SATS = 21_000_000 * COIN
"""More than this is no amount (Bitcoin Core, consensus/amount.h)."""
COINBASE_MATURITY = 100
"""Confirmations after which what a miner made may be spent (Bitcoin Core, consensus/consensus.h)."""
MAX_RBF_SEQUENCE = 0xFFFFFFFD
"""An input with this sequence or a lower one says that the transaction may be replaced (BIP-125)."""


@dataclass(frozen=True, slots=True)
class BitcoinNetwork:
    """A chain's prefixes and rules.

    `hrp`, `p2pkh`, `p2sh`: of its addresses; `coin_type`: of its paths (SLIP-44), 1 for every test network. `least_difficulty`: blocks that took less
    work are not believed (0: not checked, as on test networks, and wherever the proof of work is not SHA-256). `dust_per_kvb`: the fee rate, in
    satoshis for 1,000 virtual bytes, below whose cost an output is dust (Bitcoin Core, policy/policy.h, DUST_RELAY_TX_FEE).
    """

    hrp: str
    p2pkh: int
    p2sh: int
    coin_type: int
    least_difficulty: int = 0
    dust_per_kvb: int = 3_000

    @property
    def is_main(self) -> bool:
        """Whether its coins are worth something."""
        return self.coin_type != 1
