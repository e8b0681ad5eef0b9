"""What proves the owner of an account: passkeys, external identities, and the state of it all."""

from datetime import datetime

import strawberry

from core.clock import to_datetime
from core.ids import encode_id
from graph.types.node import Node
from models.identity import IdentityDocument
from models.passkey import PasskeyDocument


@strawberry.type(description="A passkey.")
class Passkey(Node):
    name: str = strawberry.field(description="Its owner's name for it.")
    created_at: datetime = strawberry.field(description="When it was registered.")
    last_used_at: datetime | None = strawberry.field(description="When it last signed; null before its first use.")

    @staticmethod
    def of(row: PasskeyDocument) -> "Passkey":
        """The passkey as its owner sees it."""
        return Passkey(
            id=strawberry.ID(encode_id("Passkey", row.id)),
            name=row.name,
            created_at=to_datetime(row.created_ms),
            last_used_at=None if row.last_used_ms is None else to_datetime(row.last_used_ms),
        )


@strawberry.type(description="An account elsewhere that signs its owner in here.")
class ExternalIdentity(Node):
    provider: str = strawberry.field(description="Key of the provider, as in `oauthProviders`.")
    subject: str = strawberry.field(description="The provider's name for the person.")
    email: str | None = strawberry.field(description="The address the provider told when it was linked.")
    linked_at: datetime = strawberry.field(description="When it was linked.")

    @staticmethod
    def of(row: IdentityDocument) -> "ExternalIdentity":
        """The identity as its owner sees it."""
        return ExternalIdentity(
            id=strawberry.ID(encode_id("ExternalIdentity", row.id)),
            provider=row.provider,
            subject=row.subject,
            email=row.email,
            linked_at=to_datetime(row.linked_ms),
        )


@strawberry.type(description="A provider of external identities: Google, GitHub, Apple, or any OpenID provider.")
class OAuthProvider:
    key: str = strawberry.field(description="What `beginOAuth` takes.")
    name: str = strawberry.field(description="What people read.")


@strawberry.type(description="What protects an account.")
class SecurityState:
    id: strawberry.ID = strawberry.field(description="Stable per account.")
    password_set: bool = strawberry.field(description="Whether there is a password.")
    totp_enabled: bool = strawberry.field(description="Whether codes by app are asked for.")
    recovery_codes_left: int = strawberry.field(description="Unused recovery codes.")
    passkeys: list[Passkey] = strawberry.field(description="Passkeys, oldest first.")
    identities: list[ExternalIdentity] = strawberry.field(description="Linked external identities, oldest first.")
    anti_phishing_code: str | None = strawberry.field(
        description="Words that stand in every mail from here. Never told to an API key."
    )
    frozen_at: datetime | None = strawberry.field(description="Since when the account is frozen or suspended.")
    withdrawals_held_until: datetime | None = strawberry.field(
        description="No withdrawal before this moment, after a change of password, address, factors, linked identities or "
        "wallets."
    )
    password_changed_at: datetime | None = strawberry.field(description="When the password was last set.")
