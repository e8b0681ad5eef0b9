"""Where people deposit: an address of one's own, derived from an extended public key for each family of chains; where none can be derived (Solana), an address of the
house that all share, with a memo of one's own. The server cannot spend from either."""

import io
from collections.abc import Mapping
from typing import Protocol
from urllib.parse import urlencode

import segno

from core.account_vocabulary import UserStatus
from core.clock import Clock
from core.refusals import WalletRefused
from core.vocabulary import ChainFamily
from core.wallet_vocabulary import WalletErrorCode
from models import deposit, deposit_address, deposit_memo
from models.chain import ChainEntry
from models.deposit_address import DepositAddressDocument, DepositLink, DepositPlace, address_id
from models.deposit_memo import DepositMemoDocument, memo_id
from services.catalogue import Catalogue
from services.deposit_forms import forms_of
from services.deposit_memos import new_memo
from services.viewer import Viewer


class DepositKeys(Protocol):
    """Derives addresses of one family."""

    def address(self, index: int) -> str:
        """The receiving address of this index."""
        ...

    def path(self, index: int) -> str:
        """Where its private key is found by whoever has the seed."""
        ...


class DepositAddresses:
    """One per process. `keys` by family; `shared`: by chain, the address that all pay to; `watched` are the chains that are read here."""

    def __init__(
        self,
        *,
        catalogue: Catalogue,
        keys: Mapping[ChainFamily, DepositKeys],
        shared: Mapping[str, str],
        watched: frozenset[str],
        clock: Clock,
    ) -> None:
        self._catalogue = catalogue
        self._keys = keys
        self._shared = shared
        self.watched = watched
        self._clock = clock

    async def create(self, viewer: Viewer, chain_key: str) -> tuple[DepositPlace, ChainEntry]:
        """The account's address on a chain; made when there is none yet. Raises WalletRefused."""
        if viewer.status is not UserStatus.ACTIVE:
            text = "the account is frozen; unfreeze it first"
            raise WalletRefused(text, reason=WalletErrorCode.ACCOUNT_FROZEN)
        if not viewer.email_verified:
            raise WalletRefused("prove your e-mail address first", reason=WalletErrorCode.EMAIL_NOT_VERIFIED)
        chain = self._catalogue.chains.get(chain_key)
        if chain is None:
            text = "there is no such chain here; `chains` lists those that there are"
            raise WalletRefused(text, reason=WalletErrorCode.UNKNOWN_CHAIN, field=["chain"])
        if not await self._is_read(chain):
            text = "deposits on this chain are not taken now"
            raise WalletRefused(text, reason=WalletErrorCode.NOT_ENABLED, field=["chain"])
        shared = self._shared.get(chain.key)
        if shared is not None:
            return _with_memo(shared, await self._memo(viewer.user_id, chain.key)), chain
        return _own(await self._made(viewer.user_id, chain.family)), chain

    async def of_user(
        self, user_id: str, chain: str | None, asset: str | None
    ) -> list[tuple[DepositPlace, ChainEntry]]:
        """The account's addresses, one entry for each chain that is watched; on one chain, or for one asset, where that is asked for."""
        wanted = {form.chain for form in self._catalogue.asset(asset).networks} if asset is not None else None
        found = []
        for entry in self._catalogue.chains.values():
            meant = chain in {None, entry.key} and (wanted is None or entry.key in wanted)
            if meant and await self._is_read(entry):
                place = await self._known(user_id, entry)
                if place is not None:
                    found.append((place, entry))
        return found

    def drawn(self, place: DepositPlace, chain: ChainEntry) -> tuple[str, str]:
        """An address as a URI that wallets open, and that as a QR code in SVG."""
        uri = _uri_of(chain, place)
        return uri, qr_svg(uri)

    def qr(self, uri: str) -> str:
        """A URI as a QR code in SVG."""
        return qr_svg(uri)

    def links(self, place: DepositPlace, chain: ChainEntry) -> list[DepositLink]:
        """What wallets open to deposit each asset that is taken on the chain."""
        forms = forms_of(self._catalogue.assets.values(), chain.key)
        return [DepositLink(form.asset.code, _uri_of(chain, place, contract)) for contract, form in forms.items()]

    async def _is_read(self, chain: ChainEntry) -> bool:
        """Whether the chain's blocks are read, and were before now: what is paid to an address that is given out then is seen."""
        return chain.key in self.watched and await deposit.cursor(chain.key) is not None

    async def _known(self, user_id: str, chain: ChainEntry) -> DepositPlace | None:
        shared = self._shared.get(chain.key)
        if shared is not None:
            memo = await deposit_memo.of_account(user_id, chain.key)
            return None if memo is None else _with_memo(shared, memo)
        row = await deposit_address.of_account(user_id, chain.family)
        return None if row is None else _own(row)

    async def _memo(self, user_id: str, chain: str) -> DepositMemoDocument:
        while True:
            known = await deposit_memo.of_account(user_id, chain)
            if known is not None:
                return known
            row = DepositMemoDocument(
                id=memo_id(user_id, chain),
                user_id=user_id,
                chain=chain,
                memo=new_memo(),
                created_ms=self._clock.now_ms(),
            )
            if await deposit_memo.insert(row):
                return row

    async def _made(self, user_id: str, family: ChainFamily) -> DepositAddressDocument:
        while True:
            known = await deposit_address.of_account(user_id, family)
            if known is not None:
                return known
            index = await deposit_address.next_index(family)
            row = DepositAddressDocument(
                id=address_id(user_id, family),
                user_id=user_id,
                family=family,
                index=index,
                address=self._keys[family].address(index),
                path=self._keys[family].path(index),
                created_ms=self._clock.now_ms(),
            )
            if await deposit_address.insert(row):
                return row


def _own(row: DepositAddressDocument) -> DepositPlace:
    return DepositPlace(row.user_id, row.address, None, row.created_ms)


def _with_memo(address: str, row: DepositMemoDocument) -> DepositPlace:
    return DepositPlace(row.user_id, address, row.memo, row.created_ms)


def _uri_of(chain: ChainEntry, place: DepositPlace, contract: str | None = None) -> str:
    """What a wallet understands: EIP-681, BIP-21, Solana Pay (which asks for the amount where none is named). `contract`: of a token."""
    address = place.address
    match chain.family:
        case ChainFamily.EVM if contract is not None:
            return f"ethereum:{contract}@{chain.chain_id}/transfer?address={address}"
        case ChainFamily.EVM:
            return f"ethereum:{address}@{chain.chain_id}"
        case ChainFamily.BITCOIN:
            return f"bitcoin:{address}"
        case ChainFamily.SOLANA:
            wanted = {"spl-token": contract, "memo": place.memo}
            query = urlencode({name: value for name, value in wanted.items() if value is not None})
            return f"solana:{address}?{query}" if query else f"solana:{address}"


def qr_svg(text: str) -> str:
    """A QR code of a text, as SVG."""
    image = io.BytesIO()
    segno.make(text, error="m").save(image, kind="svg", scale=4, border=2, xmldecl=False)
    return image.getvalue().decode().strip()
