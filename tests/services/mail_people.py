"""People who get mail."""

from typing import Any

from models import user
from models.user import UserDocument

ANNA = "anna@example.com"


def person(**changes: Any) -> UserDocument:
    """Anna, whose address is proven."""
    fields = {
        "id": "u1",
        "email": "Anna@example.com",
        "email_key": ANNA,
        "email_verified_ms": 1,
        "locale": "en",
        "quote_asset": "USD",
        "created_ms": 1,
        "authority_ms": 1,
    }
    return UserDocument(**{**fields, **changes})


async def store(who: UserDocument) -> UserDocument:
    """Store and give them."""
    assert await user.insert(who)
    return who
