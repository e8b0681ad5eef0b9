"""Automatic persisted queries: a client sends the SHA-256 of a document instead of the document, and the document once.

https://www.apollographql.com/docs/apollo-server/performance/apq
"""

import re
from collections import OrderedDict
from collections.abc import Mapping
from hashlib import sha256

from core.cache import Cache
from core.errors import ExpectedError, InvalidInput

TTL_SECONDS = 86_400.0
_HELD_CHARACTERS = 2_000_000
"""Texts kept in this process, beside the cache that processes share."""
_HASH = re.compile(r"[0-9a-f]{64}", re.ASCII)


class PersistedQueryNotFound(ExpectedError):
    """The hash is not known here; the client sends hash and document, and is understood from then on."""

    code = "PERSISTED_QUERY_NOT_FOUND"


class PersistedQueryMismatch(ExpectedError):
    """The hash is not that of the document beside it."""

    code = "PERSISTED_QUERY_HASH_MISMATCH"


class PersistedQueries:
    """Documents by their hash: in this process, least recently used first out, and in the shared cache for a day."""

    def __init__(self, cache: Cache) -> None:
        self._cache = cache
        self._texts: OrderedDict[str, str] = OrderedDict()
        self._characters = 0

    async def find(self, digest: str) -> str:
        """The document of this hash. Raises PersistedQueryNotFound."""
        text = self._texts.get(digest)
        if text is None:
            stored = await self._cache.get(_key(digest))
            if stored is None or sha256(stored).hexdigest() != digest:
                raise PersistedQueryNotFound("PersistedQueryNotFound")
            text = stored.decode()
        self._hold(digest, text)
        return text

    async def remember(self, digest: str, text: str) -> None:
        """Keep a document that has proven valid, under the hash `claimed_hash` has checked."""
        await self._cache.set(_key(digest), text.encode(), ttl_seconds=TTL_SECONDS)
        self._hold(digest, text)

    def _hold(self, digest: str, text: str) -> None:
        if digest not in self._texts:
            self._texts[digest] = text
            self._characters += len(text)
        self._texts.move_to_end(digest)
        while self._characters > _HELD_CHARACTERS:
            _, dropped = self._texts.popitem(last=False)
            self._characters -= len(dropped)


def claimed_hash(extensions: Mapping[str, object] | None, text: str | None) -> str | None:
    """The hash a request carries; None when it carries none.

    Raises:
        InvalidInput: `extensions.persistedQuery` is malformed.
        PersistedQueryMismatch: it is not the hash of the text beside it.
    """
    claim = (extensions or {}).get("persistedQuery")
    if claim is None:
        return None
    if not isinstance(claim, Mapping) or claim.get("version") != 1:
        raise InvalidInput(
            "extensions.persistedQuery must be {version: 1, sha256Hash}", field="extensions.persistedQuery"
        )
    digest = claim.get("sha256Hash")
    if not isinstance(digest, str) or not _HASH.fullmatch(digest):
        raise InvalidInput(
            "extensions.persistedQuery.sha256Hash must be 64 lower-case hexadecimal digits",
            field="extensions.persistedQuery.sha256Hash",
        )
    if text is not None and sha256(text.encode()).hexdigest() != digest:
        raise PersistedQueryMismatch("sha256Hash is not the SHA-256 of the document beside it")
    return digest


def _key(digest: str) -> str:
    return f"apq:{digest}"
