"""What is read of accounts for their owners and for operators, for fields that may not query by themselves."""

from collections.abc import Collection

from core.account_vocabulary import AuditAction, UserStatus
from core.clock import Clock
from core.paging import Page, PageRequest
from core.vocabulary import TimeOrder
from models import audit_event, identity, passkey, user, wallet
from models.audit_event import AuditEventDocument
from models.identity import IdentityDocument
from models.passkey import PasskeyDocument
from models.user import Profile, UserDocument
from models.wallet import WalletDocument
from services import audit_pages, operators
from services.account_states import AccountStates
from services.time_ranks import Ranked


class AccountReads:
    """Reads. Who may see what was decided by whoever asks."""

    def __init__(self, clock: Clock, states: AccountStates) -> None:
        self._clock = clock
        self._states = states

    async def person(self, user_id: str) -> UserDocument | None:
        """An account by its id."""
        return await user.by_id(user_id)

    async def profile(self, user_id: str) -> Profile | None:
        """What a person is shown of themselves first: as current as the authority that requests are judged by."""
        return await self._states.profile(user_id)

    async def passkeys(self, user_id: str) -> list[PasskeyDocument]:
        """A person's passkeys, oldest first."""
        return await passkey.of_user(user_id)

    async def identities(self, user_id: str) -> list[IdentityDocument]:
        """A person's external identities, oldest first."""
        return await identity.of_user(user_id)

    async def wallets(self, user_id: str) -> list[WalletDocument]:
        """A person's linked wallets, oldest first."""
        return await wallet.of_user(user_id)

    async def audit_row(self, user_id: str, number: int) -> AuditEventDocument | None:
        """A row of an account's audit log."""
        return await audit_event.by_number(user_id, number)

    async def audit_page(
        self, user_id: str, actions: Collection[AuditAction] | None, order: TimeOrder, request: PageRequest
    ) -> Page[AuditEventDocument]:
        """A page of an account's audit log; the cursor is the row's number. Raises InvalidInput."""
        return await audit_pages.page_of_account(user_id, actions, order, request)

    async def audit_page_of_everybody(
        self, actions: Collection[AuditAction] | None, request: PageRequest
    ) -> Page[Ranked[AuditEventDocument]]:
        """A page of all audit logs, newest first. Raises InvalidInput."""
        return await audit_pages.page_of_everybody(actions, request, self._clock)

    async def find_person(self, search: str) -> UserDocument | None:
        """The account of this id or address."""
        return await operators.find(search)

    async def people(self, status: UserStatus | None, request: PageRequest) -> Page[Ranked[UserDocument]]:
        """A page of accounts, newest first. Raises InvalidInput."""
        return await operators.page(status, request, self._clock)
