"""Sessions and API keys: who acts for an account."""

from datetime import datetime

import strawberry

from core.account_vocabulary import ApiScope, SessionMethod
from core.clock import to_datetime
from core.ids import encode_id
from graph.types.node import Node
from models.api_key import ApiKeyDocument
from models.session import SessionDocument


@strawberry.type(description="One signing in, until it ends.")
class Session(Node):
    current: bool = strawberry.field(description="Whether this request is made by it.")
    created_at: datetime = strawberry.field(description="When somebody signed in.")
    last_seen_at: datetime = strawberry.field(description="When it was last used, to about half a minute.")
    expires_at: datetime = strawberry.field(description="When it ends unless it is refreshed.")
    ip: str | None = strawberry.field(description="Address it was signed in or last refreshed from.")
    user_agent: str | None = strawberry.field(description="What the program says of itself.")
    device_name: str | None = strawberry.field(description="The name given at log-in.")
    method: SessionMethod = strawberry.field(description="How it was signed in.")

    @staticmethod
    def of(row: SessionDocument, current_id: str | None) -> "Session":
        """The session as its owner sees it."""
        return Session(
            id=strawberry.ID(encode_id("Session", row.id)),
            current=row.id == current_id,
            created_at=to_datetime(row.created_ms),
            last_seen_at=to_datetime(row.last_seen_ms),
            expires_at=to_datetime(row.expires_ms),
            ip=row.ip,
            user_agent=row.user_agent,
            device_name=row.device_name,
            method=row.method,
        )


@strawberry.type(description="How an integrator's program signs in: `Authorization: Bearer cvk_…` or `X-API-Key`.")
class ApiKey(Node):
    name: str = strawberry.field(description="Its owner's name for it.")
    prefix: str = strawberry.field(description="The part of the key that may be shown.")
    scopes: list[ApiScope] = strawberry.field(description="What it may do.")
    ip_allowlist: list[str] = strawberry.field(description="Networks it may be used from; empty for any.")
    created_at: datetime = strawberry.field(description="When it was made.")
    last_used_at: datetime | None = strawberry.field(
        description="When it was last used, to about half a minute; null before."
    )
    expires_at: datetime | None = strawberry.field(description="When it ends by itself; null: never.")

    @staticmethod
    def of(row: ApiKeyDocument) -> "ApiKey":
        """The key as its owner sees it."""
        return ApiKey(
            id=strawberry.ID(encode_id("ApiKey", row.id)),
            name=row.name,
            prefix=row.prefix,
            scopes=list(row.scopes),
            ip_allowlist=list(row.ip_allowlist),
            created_at=to_datetime(row.created_ms),
            last_used_at=None if row.last_used_ms is None else to_datetime(row.last_used_ms),
            expires_at=None if row.expires_ms is None else to_datetime(row.expires_ms),
        )
