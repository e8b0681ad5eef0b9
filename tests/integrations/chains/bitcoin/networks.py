"""Networks of tests."""

from integrations.chains.bitcoin.parameters import BitcoinNetwork
from tests.chains import LITECOIN

MAIN = BitcoinNetwork(hrp="bc", p2pkh=0, p2sh=5, coin_type=0)
TEST = BitcoinNetwork(hrp="tb", p2pkh=111, p2sh=196, coin_type=1)
assert LITECOIN.bitcoin is not None
REGTEST = BitcoinNetwork(
    hrp=LITECOIN.bitcoin.hrp,
    p2pkh=LITECOIN.bitcoin.p2pkh,
    p2sh=LITECOIN.bitcoin.p2sh,
    coin_type=LITECOIN.bitcoin.coin_type,
)
"""Litecoin's."""
