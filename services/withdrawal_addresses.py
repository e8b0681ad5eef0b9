"""The address book: where an account may withdraw to. A new address waits before it may be used, so that its owner has time to see the mail."""

from collections.abc import Awaitable, Callable

from core.account_vocabulary import AuditAction
from core.clock import Clock
from core.ids import random_id
from core.mail_vocabulary import MailKind
from core.refusals import WalletRefused
from core.wallet_vocabulary import WalletErrorCode
from models import withdrawal_address
from models.chain import ChainEntry
from models.withdrawal_address import WithdrawalAddressDocument
from services.audit import AuditLog
from services.catalogue import Catalogue
from services.mail import Mailbox
from services.names import checked_name
from services.viewer import Client, Viewer

MOST_ADDRESSES = 200
_HOUR_MS = 3_600_000
NormalAddress = Callable[[ChainEntry, str], str]
"""An address in the form it is stored and compared in. Raises WalletRefused with ADDRESS_INVALID or ADDRESS_WRONG_NETWORK."""
IsOurs = Callable[[str, str], Awaitable[bool]]
"""Whether an address on a chain is one of the house's own wallets."""


class WithdrawalAddresses:
    """One per process. `delay_hours` is how long a new address waits; `is_ours` tells addresses of the house on a chain."""

    def __init__(
        self,
        *,
        catalogue: Catalogue,
        normal: NormalAddress,
        is_ours: IsOurs,
        audit: AuditLog,
        mailbox: Mailbox,
        clock: Clock,
        delay_hours: int,
    ) -> None:
        self._catalogue = catalogue
        self._normal = normal
        self._is_ours = is_ours
        self._audit = audit
        self._mailbox = mailbox
        self._clock = clock
        self._delay_ms = delay_hours * _HOUR_MS

    async def of_user(self, user_id: str) -> list[WithdrawalAddressDocument]:
        """An account's entries, newest first."""
        return await withdrawal_address.of_user(user_id)

    async def own(self, user_id: str, entry_id: str) -> WithdrawalAddressDocument | None:
        """The entry of this id, when it is the account's."""
        entry = await withdrawal_address.by_id(entry_id)
        return entry if entry is not None and entry.user_id == user_id else None

    async def add(
        self, viewer: Viewer, chain_key: str, address: str, label: str, client: Client
    ) -> WithdrawalAddressDocument:
        """Add an address; one that is in the book already stays as it is and is given. Raises WalletRefused, NameInvalid."""
        chain = self._catalogue.chains.get(chain_key)
        if chain is None:
            text = "there is no such chain here; `chains` lists those that there are"
            raise WalletRefused(text, reason=WalletErrorCode.UNKNOWN_CHAIN, field=["chain"])
        normal = self._normal(chain, address)
        if await self._is_ours(chain.key, normal):
            text = "this address belongs to the exchange itself"
            raise WalletRefused(text, reason=WalletErrorCode.ADDRESS_INVALID, field=["address"])
        known = await withdrawal_address.of_user(viewer.user_id)
        same = next((entry for entry in known if (entry.chain, entry.address) == (chain.key, normal)), None)
        if same is not None:
            return same
        if len(known) >= MOST_ADDRESSES:
            raise WalletRefused(
                "an address book has at most {most} entries; remove one first",
                {"most": MOST_ADDRESSES},
                reason=WalletErrorCode.LIMIT_EXCEEDED,
            )
        now_ms = self._clock.now_ms()
        entry = WithdrawalAddressDocument(
            id=random_id(),
            user_id=viewer.user_id,
            chain=chain.key,
            address=normal,
            label=checked_name(label, field=["label"]),
            created_ms=now_ms,
            active_ms=now_ms + self._delay_ms,
        )
        if not await withdrawal_address.insert(entry):
            return await self.add(viewer, chain_key, address, label, client)
        detail = {"chain": chain.key, "address": normal, "label": entry.label}
        await self._audit.record(viewer.user_id, AuditAction.ADDRESS_ADDED, client=client, detail=detail)
        await self._mailbox.send(
            MailKind.WITHDRAWAL_ADDRESS_ADDED,
            user_id=viewer.user_id,
            name=entry.label,
            chain=chain.name,
            address=normal,
            ip=client.address,
        )
        return entry

    async def remove(self, viewer: Viewer, entry_id: str, client: Client) -> WithdrawalAddressDocument:
        """Take an address out; withdrawals to it that were not signed wait then. Raises WalletRefused."""
        entry = await self.own(viewer.user_id, entry_id)
        if entry is None or not await withdrawal_address.remove(entry_id, viewer.user_id):
            text = "your address book has no such entry"
            raise WalletRefused(text, reason=WalletErrorCode.ADDRESS_NOT_ACTIVE, field=["id"])
        detail = {"chain": entry.chain, "address": entry.address, "label": entry.label}
        await self._audit.record(viewer.user_id, AuditAction.ADDRESS_REMOVED, client=client, detail=detail)
        return entry
