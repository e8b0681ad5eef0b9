"""The words about mail that rooms share: what a mail is about, and what may be said in it."""

from enum import StrEnum


class MailKind(StrEnum):
    """What a mail is about."""

    SIGN_UP = "SIGN_UP"
    VERIFY_EMAIL = "VERIFY_EMAIL"
    PASSWORD_RESET = "PASSWORD_RESET"  # noqa: S105
    CHANGE_EMAIL = "CHANGE_EMAIL"
    NEW_DEVICE = "NEW_DEVICE"
    ACCOUNT_LOCKED = "ACCOUNT_LOCKED"
    SECOND_FACTOR_FAILED = "SECOND_FACTOR_FAILED"
    PASSWORD_CHANGED = "PASSWORD_CHANGED"  # noqa: S105
    EMAIL_CHANGE_ASKED = "EMAIL_CHANGE_ASKED"
    EMAIL_CHANGED = "EMAIL_CHANGED"
    TOTP_ENABLED = "TOTP_ENABLED"
    TOTP_DISABLED = "TOTP_DISABLED"
    RECOVERY_CODES_REPLACED = "RECOVERY_CODES_REPLACED"
    RECOVERY_CODE_USED = "RECOVERY_CODE_USED"
    PASSKEY_ADDED = "PASSKEY_ADDED"
    PASSKEY_REMOVED = "PASSKEY_REMOVED"
    IDENTITY_LINKED = "IDENTITY_LINKED"
    IDENTITY_UNLINKED = "IDENTITY_UNLINKED"
    WALLET_LINKED = "WALLET_LINKED"
    WALLET_UNLINKED = "WALLET_UNLINKED"
    API_KEY_CREATED = "API_KEY_CREATED"
    SESSION_REUSED = "SESSION_REUSED"
    ACCOUNT_FROZEN = "ACCOUNT_FROZEN"
    ACCOUNT_UNFROZEN = "ACCOUNT_UNFROZEN"
    ACCOUNT_SUSPENDED = "ACCOUNT_SUSPENDED"
    ACCOUNT_DELETED = "ACCOUNT_DELETED"
    ROLE_CHANGED = "ROLE_CHANGED"
    WITHDRAWAL_ADDRESS_ADDED = "WITHDRAWAL_ADDRESS_ADDED"
    WITHDRAWAL_CONFIRM = "WITHDRAWAL_CONFIRM"
    WITHDRAWAL_ASKED = "WITHDRAWAL_ASKED"
    WITHDRAWAL_SENT = "WITHDRAWAL_SENT"


MAIL_REQUESTS = frozenset(
    {MailKind.SIGN_UP, MailKind.VERIFY_EMAIL, MailKind.PASSWORD_RESET, MailKind.CHANGE_EMAIL},
)
"""Mails that somebody asked for. All others are notices about the security of an account."""


class MailState(StrEnum):
    """How far a mail has come: `DROPPED` had nobody to go to or nothing to say any more, `FAILED` was refused, or tried long enough."""

    QUEUED = "QUEUED"
    SENT = "SENT"
    DROPPED = "DROPPED"
    FAILED = "FAILED"


class MailFact(StrEnum):
    """What a mail may tell beside its text and its time, in the order it is told. Never a secret."""

    NAME = "name"
    AMOUNT = "amount"
    CHAIN = "chain"
    ADDRESS = "address"
    HASH = "hash"
    EXPLORER = "explorer"
    """A link to a transaction; only ever made from what the server itself knows, as it can be followed from the mail."""
    PROVIDER = "provider"
    WALLET = "wallet"
    ROLE = "role"
    LEFT = "left"
    IP = "ip"
    DEVICE = "device"
    LOCALE = "locale"
    """Not told: the language, for an account that is gone."""
    WITHDRAWAL = "withdrawal"
    """Not told: the id of the withdrawal that a link confirms."""
