"""People: who they are, what they may do, and what proves it. Every change is one atomic update of one document."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from beanie import Document
from pydantic import BaseModel
from pymongo import ASCENDING, IndexModel
from pymongo.errors import DuplicateKeyError

from core.account_vocabulary import Role, UserStatus
from models.base import stored


class Totp(BaseModel, frozen=True):
    """A second factor by clock. `secret` is sealed; `last_step` is the newest time step whose code was used."""

    secret: str
    enabled_ms: int
    last_step: int


class UserDocument(Document):
    """One person. Times are epoch milliseconds.

    `email_key` is the address as it is compared, unique among accounts that are not deleted. `authority_ms` is when what others may rely
    on (role, status, verification, language) last changed, `authority_version` how often it did.
    """

    id: str  # type: ignore[assignment]
    email: str | None = None
    email_key: str | None = None
    email_verified_ms: int | None = None
    pending_email: str | None = None
    pending_email_key: str | None = None
    display_name: str | None = None
    role: Role = Role.USER
    status: UserStatus = UserStatus.ACTIVE
    locale: str
    quote_asset: str
    anti_phishing_code: str | None = None
    password_hash: str | None = None
    password_changed_ms: int | None = None
    totp: Totp | None = None
    pending_totp_secret: str | None = None
    recovery_hashes: tuple[str, ...] = ()
    created_ms: int
    frozen_ms: int | None = None
    withdrawals_held_until_ms: int | None = None
    authority_ms: int
    authority_version: int = 1
    freeze_untold_ms: int | None = None
    """Since when the exchange has not confirmed whether the account is frozen; None: it has."""

    class Settings:
        """Where it is kept."""

        name = "users"
        keep_nulls = False
        indexes: ClassVar = [
            IndexModel([("email_key", ASCENDING)], unique=True, sparse=True),
            IndexModel([("authority_ms", ASCENDING)]),
            IndexModel([("freeze_untold_ms", ASCENDING)], sparse=True),
            IndexModel([("created_ms", ASCENDING)]),
            IndexModel([("status", ASCENDING), ("created_ms", ASCENDING)]),
        ]


@dataclass(frozen=True, slots=True)
class Profile:
    """What a person is shown of themselves first. Whatever changes any of it raises the row's `authority_version`, or never does."""

    id: str
    email: str | None
    email_verified: bool
    display_name: str | None
    role: Role
    status: UserStatus
    locale: str
    quote_asset: str
    created_ms: int


def profile_of(row: UserDocument) -> Profile:
    """The profile in a row."""
    return Profile(
        id=row.id,
        email=row.email,
        email_verified=row.email_verified_ms is not None,
        display_name=row.display_name,
        role=row.role,
        status=row.status,
        locale=row.locale,
        quote_asset=row.quote_asset,
        created_ms=row.created_ms,
    )


async def insert(user: UserDocument) -> bool:
    """Store a new person. Returns False when the address belongs to somebody already."""
    try:
        await UserDocument.get_pymongo_collection().insert_one(stored(user))
    except DuplicateKeyError:
        return False
    return True


async def by_id(user_id: str) -> UserDocument | None:
    """The person of this id."""
    return await UserDocument.find_one({"_id": user_id})


async def by_ids(user_ids: Sequence[str]) -> dict[str, UserDocument]:
    """Those of these people that there are; few ids."""
    return {user.id: user async for user in UserDocument.find({"_id": {"$in": list(user_ids)}})}


async def by_email_key(email_key: str) -> UserDocument | None:
    """The person whose address this is."""
    return await UserDocument.find_one({"email_key": email_key})


async def authority_changed_since(since_ms: int) -> list[UserDocument]:
    """People whose authority changed at or after this moment; the caller keeps the range narrow."""
    return await UserDocument.find({"authority_ms": {"$gte": since_ms}}).to_list()


async def created_between(from_ms: int, to_ms: int, status: UserStatus | None = None) -> list[UserDocument]:
    """People, or those in this state, who signed up in from_ms <= time < to_ms; the caller keeps the range narrow."""
    query: dict[str, Any] = {"created_ms": {"$gte": from_ms, "$lt": to_ms}}
    if status is not None:
        query["status"] = status.value
    return await UserDocument.find(query).to_list()


async def set_profile(user_id: str, changes: Mapping[str, str | None], now_ms: int) -> None:
    """Change name, language, quote asset or anti-phishing code; None removes."""
    given = {name: value for name, value in changes.items() if value is not None}
    gone = {name: "" for name, value in changes.items() if value is None}
    await _update({"_id": user_id}, {**({"$unset": gone} if gone else {}), **_authority(now_ms, given)})


async def set_email_verified(user_id: str, email_key: str, now_ms: int) -> bool:
    """Note that the person has proven this address. False when it is no longer theirs."""
    return await _update({"_id": user_id, "email_key": email_key}, _authority(now_ms, {"email_verified_ms": now_ms}))


async def set_pending_email(user_id: str, *, email: str, email_key: str) -> None:
    """Keep an address until its owner proves it; an earlier one is forgotten."""
    await _update({"_id": user_id}, {"$set": {"pending_email": email, "pending_email_key": email_key}})


async def clear_pending_email(user_id: str) -> None:
    """Forget an address that was asked for and not proven."""
    await _update({"_id": user_id}, {"$unset": {"pending_email": "", "pending_email_key": ""}})


async def set_email(person: UserDocument, *, now_ms: int, held_until_ms: int) -> bool:
    """Give the person the pending address. False when it is pending no more, or belongs to somebody else."""
    changes = {
        "email": person.pending_email,
        "email_key": person.pending_email_key,
        "email_verified_ms": now_ms,
        "withdrawals_held_until_ms": held_until_ms,
    }
    update = _authority(now_ms, changes)
    update["$unset"] = {"pending_email": "", "pending_email_key": ""}
    try:
        return await _update({"_id": person.id, "pending_email_key": person.pending_email_key}, update)
    except DuplicateKeyError:
        return False


async def set_password(user_id: str, password_hash: str, *, now_ms: int, held_until_ms: int) -> None:
    """Give the person another password."""
    changes = {
        "password_hash": password_hash,
        "password_changed_ms": now_ms,
        "withdrawals_held_until_ms": held_until_ms,
    }
    await _update({"_id": user_id}, {"$set": changes})


async def upgrade_password_hash(user_id: str, *, old_hash: str, new_hash: str) -> None:
    """Store the same password in a better way, unless it was changed meanwhile."""
    await _update({"_id": user_id, "password_hash": old_hash}, {"$set": {"password_hash": new_hash}})


async def set_pending_totp(user_id: str, sealed_secret: str) -> bool:
    """Keep a secret until its first code proves it. False when codes by clock are in use already."""
    return await _update({"_id": user_id, "totp": {"$exists": False}}, {"$set": {"pending_totp_secret": sealed_secret}})


async def enable_totp(user_id: str, totp: Totp, recovery_hashes: Sequence[str], *, held_until_ms: int) -> bool:
    """Let a proven secret count from now on. False when it is not the pending one (any more)."""
    return await _update(
        {"_id": user_id, "totp": {"$exists": False}, "pending_totp_secret": totp.secret},
        {
            "$set": {
                "totp": totp.model_dump(),
                "recovery_hashes": list(recovery_hashes),
                "withdrawals_held_until_ms": held_until_ms,
            },
            "$unset": {"pending_totp_secret": ""},
        },
    )


async def use_totp_step(user_id: str, step: int) -> bool:
    """Use up the code of a time step. False when this step, or a later one, was used."""
    return await _update({"_id": user_id, "totp.last_step": {"$lt": step}}, {"$set": {"totp.last_step": step}})


async def disable_totp(user_id: str, *, held_until_ms: int) -> bool:
    """Forget codes by clock and recovery codes. False when there were none."""
    return await _update(
        {"_id": user_id, "totp": {"$exists": True}},
        {
            "$unset": {"totp": "", "pending_totp_secret": ""},
            "$set": {"recovery_hashes": [], "withdrawals_held_until_ms": held_until_ms},
        },
    )


async def set_totp_secret(user_id: str, *, old: str, new: str) -> bool:
    """Put the same secret under another key. False when it was changed meanwhile."""
    return await _update({"_id": user_id, "totp.secret": old}, {"$set": {"totp.secret": new}})


async def set_recovery_hashes(user_id: str, hashes: Sequence[str]) -> bool:
    """Replace all recovery codes. False without codes by clock."""
    return await _update({"_id": user_id, "totp": {"$exists": True}}, {"$set": {"recovery_hashes": list(hashes)}})


async def use_recovery_hash(user_id: str, code_hash: str) -> bool:
    """Use up a recovery code. False when there is none of this hash."""
    return await _update({"_id": user_id, "recovery_hashes": code_hash}, {"$pull": {"recovery_hashes": code_hash}})


async def hold_withdrawals(user_id: str, held_until_ms: int) -> None:
    """No withdrawal before this moment."""
    await _update({"_id": user_id}, {"$max": {"withdrawals_held_until_ms": held_until_ms}})


async def set_status(
    user_id: str, status: UserStatus, *, was: Sequence[UserStatus], now_ms: int, frozen_ms: int | None
) -> bool:
    """Change the state from one of `was`; the exchange is to be told. False when it is none of them."""
    changes: dict[str, object] = {"status": status, "freeze_untold_ms": now_ms}
    update = _authority(now_ms, {**changes, **({} if frozen_ms is None else {"frozen_ms": frozen_ms})})
    if frozen_ms is None:
        update["$unset"] = {"frozen_ms": ""}
    return await _update({"_id": user_id, "status": {"$in": [each.value for each in was]}}, update)


async def freeze_told(user_id: str, status: UserStatus) -> bool:
    """Note that the exchange knows what this state means for it. False when the account is in another one by now."""
    return await _update({"_id": user_id, "status": status}, {"$unset": {"freeze_untold_ms": ""}})


async def freezes_untold(before_ms: int) -> list[str]:
    """Ids of accounts of whose state the exchange has not been told since before this moment; they are few."""
    query = {"freeze_untold_ms": {"$gte": 0, "$lt": before_ms}}
    rows = UserDocument.get_pymongo_collection().find(query, projection=["_id"])
    return [row["_id"] async for row in rows]


async def set_role(user_id: str, role: Role, now_ms: int) -> None:
    """Change what the person may do here."""
    await _update({"_id": user_id}, _authority(now_ms, {"role": role}))


async def erase(user_id: str, now_ms: int, *, only_unverified: bool = False) -> bool:
    """Delete the account: what identifies the person goes, the id and its history stay. False when there is none such."""
    query: dict[str, Any] = {"_id": user_id, "status": {"$ne": UserStatus.DELETED}}
    if only_unverified:
        query["email_verified_ms"] = {"$exists": False}
    update = _authority(now_ms, {"status": UserStatus.DELETED, "recovery_hashes": [], "freeze_untold_ms": now_ms})
    update["$unset"] = dict.fromkeys(
        (
            *("email", "email_key", "email_verified_ms", "pending_email", "pending_email_key"),
            *("display_name", "anti_phishing_code", "password_hash", "password_changed_ms", "totp"),
            "pending_totp_secret",
        ),
        "",
    )
    return await _update(query, update)


def _authority(now_ms: int, changes: Mapping[str, object]) -> dict[str, Any]:
    return {"$set": {**changes, "authority_ms": now_ms}, "$inc": {"authority_version": 1}}


async def _update(query: Mapping[str, object], update: Mapping[str, object]) -> bool:
    result = await UserDocument.get_pymongo_collection().update_one(query, update)
    return result.matched_count == 1
