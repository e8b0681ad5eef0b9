"""Enums about people, their sessions, factors and keys, with a description on every value."""

from core import account_vocabulary, vocabulary
from graph.types.enums import describe

describe(
    account_vocabulary.Role,
    "What a person may do here.",
    {
        "USER": "Everything with their own account.",
        "SUPPORT": "Sees other accounts as well.",
        "ADMIN": "Sees other accounts and changes their state.",
    },
)
describe(
    account_vocabulary.UserStatus,
    "State of an account.",
    {
        "ACTIVE": "In use.",
        "FROZEN": "Locked by its owner, or for them: nothing moves until it is unfrozen.",
        "SUSPENDED": "Locked by an operator; only an operator lifts it.",
        "DELETED": "Deleted by its owner.",
    },
)
describe(
    account_vocabulary.SessionMethod,
    "How a session was signed in.",
    {
        "PASSWORD": "By address and password.",
        "PASSKEY": "By a passkey.",
        "OAUTH": "By an external identity.",
        "WALLET": "By a wallet.",
    },
)
describe(
    account_vocabulary.TokenDelivery,
    "How a client receives its tokens.",
    {
        "COOKIE": "As HttpOnly cookies, for pages in a browser.",
        "VALUES": "In the payload, for programs; they send the access token as `Authorization: Bearer …`.",
    },
)
describe(
    account_vocabulary.AuthFactor,
    "What proves who somebody is.",
    {
        "PASSWORD": "The account's password.",
        "TOTP": "A code of an authenticator app.",
        "RECOVERY_CODE": "One of the recovery codes.",
        "PASSKEY": "A passkey's signature.",
    },
)
describe(
    account_vocabulary.ApiScope,
    "What an API key may do.",
    {
        "READ": "Read the account.",
        "TRADE": "Place and cancel orders.",
        "WITHDRAW": "Withdraw; such a key needs an address allow-list.",
    },
)
describe(
    account_vocabulary.OAuthPurpose,
    "Why an external identity is asked.",
    {"LOG_IN": "To sign in, or to sign up.", "LINK": "To link it to the account that is signed in."},
)
describe(
    account_vocabulary.AuditOutcome,
    "What became of it.",
    {"ALLOWED": "It was done.", "REFUSED": "It was refused."},
)
describe(
    account_vocabulary.AuditActor,
    "Who did it.",
    {
        "OWNER": "Whoever was signed in to the account.",
        "API_KEY": "A program, by an API key.",
        "MAIL_LINK": "Whoever opened a link from a mail to the account's address.",
        "OPERATOR": "A person of support or an administrator.",
        "STRANGER": "Somebody who has not proven to be the owner.",
        "SYSTEM": "The server by itself, or its operator on the command line.",
    },
)
describe(
    account_vocabulary.AuditAction,
    "Security events.",
    {
        "SIGN_UP": "The account was made.",
        "EMAIL_VERIFIED": "The address was proven.",
        "LOG_IN": "Somebody signed in.",
        "LOG_IN_FAILED": "A wrong password.",
        "LOCKED": "Too many wrong passwords: signing in is locked for a while.",
        "TWO_FACTOR": "A second factor was shown.",
        "LOG_OUT": "Somebody signed out.",
        "SESSION_REVOKED": "A session was ended by the owner.",
        "REFRESH_REUSED": "A refresh token was used twice; its session was ended.",
        "PASSWORD_CHANGED": "The password was changed.",
        "PASSWORD_RESET": "The password was reset by mail.",
        "EMAIL_CHANGE_ASKED": "Another address was asked for; it has to prove itself first.",
        "EMAIL_CHANGED": "The address was changed.",
        "PROFILE_CHANGED": "Name, language, currency of display or anti-phishing code was changed.",
        "TOTP_ENABLED": "Codes by app were enabled.",
        "TOTP_DISABLED": "Codes by app were disabled.",
        "RECOVERY_CODES": "The recovery codes were replaced.",
        "PASSKEY_ADDED": "A passkey was added.",
        "PASSKEY_REMOVED": "A passkey was removed.",
        "IDENTITY_LINKED": "An external identity was linked.",
        "IDENTITY_UNLINKED": "An external identity was unlinked.",
        "API_KEY_CREATED": "An API key was made.",
        "API_KEY_CHANGED": "Name or address allow-list of an API key was changed.",
        "API_KEY_REVOKED": "An API key was revoked.",
        "WALLET_LINKED": "A wallet was linked.",
        "WALLET_UNLINKED": "A wallet was unlinked.",
        "ADDRESS_ADDED": "A withdrawal address was added.",
        "ADDRESS_REMOVED": "A withdrawal address was removed.",
        "WITHDRAWAL": "A withdrawal was asked for.",
        "STEP_UP": "The owner proved again to be there.",
        "FROZEN": "The account was frozen or suspended.",
        "UNFROZEN": "The account was unfrozen.",
        "EXPORTED": "Personal data was exported.",
        "DELETED": "The account was deleted.",
        "ROLE_CHANGED": "The role was changed.",
        "OPERATED": "This person acted on another account as an operator.",
    },
)
describe(
    account_vocabulary.AuthErrorCode,
    "Why something about an account was refused.",
    {
        "INVALID_CREDENTIALS": "Address and password do not belong together.",
        "ACCOUNT_LOCKED": "Too many failures; `retryAfter` says when it is worth trying.",
        "ACCOUNT_FROZEN": "The account is frozen or suspended.",
        "EMAIL_INVALID": "No mail address.",
        "EMAIL_NOT_VERIFIED": "The address must be proven first.",
        "PASSWORD_TOO_SHORT": "Too few characters.",
        "PASSWORD_TOO_COMMON": "Too easy to guess.",
        "PASSWORD_BREACHED": "Known from stolen data.",
        "TOKEN_INVALID": "The token is unknown, was used, or is for something else.",
        "TOKEN_EXPIRED": "The token was right, but is too old.",
        "CODE_INVALID": "The code is wrong.",
        "CODE_REUSED": "The code was right, and was used before.",
        "CHALLENGE_EXPIRED": "It took too long, or was tried too often; begin again.",
        "CHALLENGE_USED": "It was answered already; begin again.",
        "MESSAGE_MISMATCH": "What was signed is not the message that was given.",
        "REFRESH_REUSED": "The refresh token was used before; its session was ended.",
        "STEP_UP_REQUIRED": "Prove that it is you: `stepUp` says how.",
        "STEP_UP_INVALID": "The factor is wrong, or the proof is over or of something else.",
        "TOTP_ALREADY_ENABLED": "Codes by app are in use already.",
        "TOTP_NOT_ENABLED": "Codes by app are not in use.",
        "PASSKEY_INVALID": "The passkey, or what it signed, is not valid here.",
        "PROVIDER_UNAVAILABLE": "The provider does not answer, or there is none of this key.",
        "PROVIDER_REFUSED": "The provider did not confirm the sign-in.",
        "IDENTITY_IN_USE": "The identity is linked already.",
        "LINK_REQUIRED": "An account has this address: sign in to it, then link the identity.",
        "LAST_FACTOR": "Without it nobody could sign in any more.",
        "WALLET_NOT_LINKED": "No account has this wallet.",
        "SIGNATURE_INVALID": "The signature is not valid.",
        "SCOPE_INVALID": "The scopes, or the number of keys, are not possible.",
        "NAME_INVALID": "No name that can be used.",
        "ADDRESS_INVALID": "No address or network.",
        "UNKNOWN": "There is no such thing, or the value is none of the possible ones.",
    },
)
describe(
    vocabulary.GeneralErrorCode,
    "Why something was refused.",
    {
        "NOT_FOUND": "There is no such thing, or the value is none of the possible ones.",
        "INVALID": "The input cannot be used.",
        "LIMIT_REACHED": "There may be no more of these.",
        "URL_REFUSED": "The URL may not be used.",
        "IDEMPOTENCY_MISMATCH": "The key was used with other content.",
        "INSUFFICIENT_FUNDS": "There is not enough.",
        "PRODUCT_CLOSED": "The product takes no more.",
        "STILL_LOCKED": "The time is not over.",
        "EMAIL_NOT_VERIFIED": "The address must be proven first.",
        "ACCOUNT_FROZEN": "The account is frozen or suspended.",
        "STEP_UP_REQUIRED": "Prove that it is you: `stepUp` says how.",
        "STEP_UP_INVALID": "The factor is wrong, or the proof is over or of something else.",
    },
)
