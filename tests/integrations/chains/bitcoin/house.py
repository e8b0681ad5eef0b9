"""What tests of a UTXO chain pay with, and keys of their own."""

import secrets
from decimal import Decimal
from typing import Any

from embit.ec import PrivateKey
from embit.hashes import hash160
from embit.psbt import PSBT
from embit.script import Script

from integrations.chains.bitcoin.addresses import BitcoinAddress, ScriptType, address_of, parse_address, script_of
from integrations.chains.bitcoin.coins import Coin
from integrations.chains.bitcoin.messages import Utxo
from integrations.chains.bitcoin.parameters import COIN, BitcoinNetwork
from integrations.chains.json_rpc import JsonRpc
from tests.chains import LITECOIN

assert LITECOIN.bitcoin is not None
NETWORK = BitcoinNetwork(
    hrp=LITECOIN.bitcoin.hrp,
    p2pkh=LITECOIN.bitcoin.p2pkh,
    p2sh=LITECOIN.bitcoin.p2sh,
    coin_type=LITECOIN.bitcoin.coin_type,
)
MAIN = BitcoinNetwork(hrp="bc", p2pkh=0, p2sh=5, coin_type=0)
TEST = BitcoinNetwork(hrp="tb", p2pkh=111, p2sh=196, coin_type=1)


class Key:
    """A key, fresh unless it is given, and its address."""

    def __init__(self, type_: ScriptType = ScriptType.P2WPKH, *, private: PrivateKey | None = None) -> None:
        self.private = private or PrivateKey(secrets.token_bytes(32))
        public = self.private.get_public_key()
        payload = hash160(public.sec())
        self.redeem = b""
        if type_ is ScriptType.P2SH:
            self.redeem = script_of(ScriptType.P2WPKH, payload)
            payload = hash160(self.redeem)
        if type_ is ScriptType.P2TR:
            payload = public.taproot_tweak(b"").xonly()
        text = address_of(script_of(type_, payload), NETWORK)
        assert text is not None
        self.address: BitcoinAddress = parse_address(text, NETWORK)

    @property
    def script(self) -> bytes:
        return self.address.script

    def sign_own(self, psbt: str) -> str:
        """The PSBT with the signatures of this key, of which there may be others."""
        parsed = PSBT.from_base64(psbt)
        for scope in parsed.inputs:
            if self.redeem and scope.utxo.script_pubkey.data == self.script:
                scope.redeem_script = Script(self.redeem)
        assert parsed.sign_with(self.private)
        text: str = parsed.to_base64()
        return text

    def sign(self, psbt: str) -> str:
        """The PSBT with the signature, not finalized."""
        parsed = PSBT.from_base64(psbt)
        assert parsed.sign_with(self.private) == len(parsed.inputs)
        text: str = parsed.to_base64()
        return text


class House:
    """The node's wallet."""

    def __init__(self, rpc: JsonRpc) -> None:
        self.rpc = rpc

    async def call(self, method: str, *params: object) -> Any:
        return await self.rpc.call(method, *params)

    async def pay(self, address: str, sats: int, *, mine: int = 1) -> str:
        """Pay an address; gives the txid."""
        txid = str(await self.call("sendtoaddress", address, str(Decimal(sats) / COIN)))
        await self.mine(mine)
        return txid

    async def mine(self, blocks: int = 1, to: str | None = None) -> list[str]:
        if not blocks:
            return []
        hashes: list[str] = await self.call("generatetoaddress", blocks, to or await self.address())
        return hashes

    async def address(self) -> str:
        return str(await self.call("getnewaddress", "", "bech32"))


def coin_of(utxo: Utxo) -> Coin:
    return Coin(utxo.outpoint, utxo.sats, utxo.script)
