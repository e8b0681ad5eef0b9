"""Whom TLS connections trust."""

import ssl
from functools import cache

import httpx


@cache
def trusted() -> ssl.SSLContext:
    """One context for every HTTP client of the process: each would read the whole list of certificates for itself, 20 ms."""
    return httpx.create_ssl_context()
