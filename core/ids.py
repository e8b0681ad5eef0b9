"""Identifiers: opaque global ids that clients cache by, and random ids for requests and holders."""

import re
import secrets
import string
from base64 import urlsafe_b64decode, urlsafe_b64encode
from binascii import Error as Base64Error
from functools import lru_cache
from hashlib import sha256
from random import Random

_public = Random(secrets.randbits(256))
_ALPHANUMERIC = string.ascii_letters + string.digits
_IDS_HELD = 16_384
"""Those of markets and assets stand in most answers."""
_SEQUENCE = re.compile(r"[1-9][0-9]{0,17}", re.ASCII)


class MalformedId(ValueError):
    """The text is not an id of ours."""


@lru_cache(maxsize=_IDS_HELD)
def encode_id(kind: str, *parts: str | int) -> str:
    """The opaque, stable id of an object: its kind and key, URL-safe."""
    text = ":".join((kind, *map(str, parts)))
    return urlsafe_b64encode(text.encode()).decode().rstrip("=")


def decode_id(text: str) -> tuple[str, list[str]]:
    """Kind and key parts of an id made by `encode_id`.

    Raises:
        MalformedId: when it was not.
    """
    try:
        plain = urlsafe_b64decode(text.encode("ascii") + b"=" * (-len(text) % 4)).decode()
    except (Base64Error, UnicodeError, ValueError) as error:
        raise MalformedId("expected an id as this API returned it") from error
    kind, *parts = plain.split(":")
    if not kind.isidentifier() or not parts or encode_id(kind, *parts) != text:
        raise MalformedId("expected an id as this API returned it")
    return kind, parts


def sequence_in(text: str, kind: str) -> int | None:
    """The number that is the key of an id of this kind; None for any other text."""
    try:
        found, parts = decode_id(text)
    except MalformedId:
        return None
    if found != kind or len(parts) != 1 or _SEQUENCE.fullmatch(parts[0]) is None:
        return None
    return int(parts[0])


def key_in(text: str, kind: str) -> str | None:
    """The key of an id of this kind, where it has one part; None for any other text."""
    try:
        found, parts = decode_id(text)
    except MalformedId:
        return None
    return parts[0] if found == kind and len(parts) == 1 else None


def random_id() -> str:
    """128 random bits as text, for requests, processes and lease holders."""
    return secrets.token_urlsafe(16)


def public_id() -> str:
    """128 random bits as text, for what everybody is told: who saw many of them may tell the next. A third of the time of `random_id`."""
    return f"{_public.getrandbits(128):032x}"


def random_token() -> str:
    """256 random bits as text: a secret that a person or a program will show to us again."""
    return secrets.token_urlsafe(32)


def random_secret() -> bytes:
    """256 random bits that never leave this server as they are."""
    return secrets.token_bytes(32)


def random_nonce() -> str:
    """24 random letters and digits (more than 128 bits), for messages that take no other characters."""
    return "".join(secrets.choice(_ALPHANUMERIC) for _ in range(24))


def random_number(below: int) -> int:
    """A number from 0 on that nobody can guess."""
    return secrets.randbelow(below)


def random_share() -> float:
    """At least 0, less than 1."""
    return secrets.randbits(32) / 2**32


def token_hash(token: str) -> str:
    """How a random token is stored: its SHA-256. A guess at 256 random bits needs no slower hash."""
    return sha256(token.encode()).hexdigest()
