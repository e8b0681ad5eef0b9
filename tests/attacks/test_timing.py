"""How long answers take must not tell who has an account: measured over HTTP, against a server as it is shipped.

Samples of all kinds are taken in turn, so that whatever else the machine does falls on each of them. What counts is the median; where answers
come at multiples of a step, a busy machine may push a few more of one kind to the next one, and with them the median, so it counts only
together with how well one sample of each tells them apart. Such a machine may still spoil a measurement, so there are three.
"""

import asyncio
import statistics
import time
from collections.abc import AsyncIterator, Mapping, Sequence
from itertools import count, product
from pathlib import Path
from typing import Any

import httpx
import pytest
from pymongo import AsyncMongoClient

from services.passwords import PasswordHasher
from tests.accounts import PASSWORD
from tests.attacks.test_enumeration import QUESTIONS
from tests.components import secantus
from tests.flows.servers import NO_TLS
from tests.processes import Server, server

SAMPLES = 20
LANES = 4
"""Questions of one kind under way at once."""
MEASUREMENTS = 3
HASH_KIB = 1_024
GAP = 0.10
GAP_SECONDS = 0.002
RIGHT_GUESSES = 0.75
"""Of a guesser who is shown one answer of each kind; half of them are right by chance."""
KINDS = ("unknown", "verified", "unverified")
_addresses = count(1)


@pytest.fixture
async def shipped(tmp_path: Path) -> AsyncIterator[Server]:
    """A server whose passwords are cheap and whose proxy is here, and nothing else is unlike a real one."""
    hasher = PasswordHasher(memory_kib=HASH_KIB, workers=1)
    password_hash = await hasher.hash(PASSWORD)
    await hasher.close()
    settings = {
        "BREACHED_PASSWORD_CHECK": "false",
        "PASSWORD_HASH_KIB": str(HASH_KIB),
        "TRUSTED_PROXIES": "127.0.0.1",
    }
    async with (
        secantus(tmp_path / "database") as (_, url),
        server("dev", data_dir=tmp_path / "data", environment={**settings, "MONGO_URL": url}) as running,
    ):
        await running.wait_until_answering("{ __typename }")
        async with AsyncMongoClient[dict[str, Any]](url) as client:
            await client["cryptovault"]["users"].insert_many(
                [
                    _row(kind, measurement, number, password_hash)
                    for kind in KINDS[1:]
                    for measurement in range(MEASUREMENTS)
                    for number in range(SAMPLES)
                ]
            )
        yield running


def _row(kind: str, measurement: int, number: int, password_hash: str) -> dict[str, Any]:
    email = _address(kind, measurement, number)
    proven = {"email_verified_ms": 1} if kind == "verified" else {}
    return {
        "_id": f"{kind}-{measurement}-{number}",
        "email": email,
        "email_key": email,
        "role": "USER",
        "status": "ACTIVE",
        "locale": "en",
        "quote_asset": "USD",
        "password_hash": password_hash,
        "recovery_hashes": [],
        "created_ms": 1_790_000_000_000,
        "authority_ms": 1_790_000_000_000,
        "authority_version": 1,
        **proven,
    }


def _address(kind: str, measurement: int, number: int) -> str:
    return f"{kind}-{measurement}-{number}@example.com"


@pytest.mark.timeout(300)
async def test_time_does_not_tell_who_has_an_account(shipped: Server) -> None:
    reports: list[dict[str, dict[str, float]]] = []
    async with httpx.AsyncClient(base_url=shipped.url, timeout=30, verify=NO_TLS) as http:
        await _measured(http, "logIn", measurement=-1, samples=range(2))  # connections and caches are warm
        for measurement in range(MEASUREMENTS):
            found = await asyncio.gather(
                *(_measured(http, question, measurement, range(SAMPLES)) for question in QUESTIONS)
            )
            if not any(map(_tells, found)):
                return
            reports.append({question: _medians(seconds) for question, seconds in zip(QUESTIONS, found, strict=True)})
    pytest.fail(f"medians in seconds, by question and by what is true of the address: {reports}")


async def _measured(http: httpx.AsyncClient, question: str, measurement: int, samples: range) -> dict[str, list[float]]:
    """Seconds of each kind of address."""
    seconds: dict[str, list[float]] = {kind: [] for kind in KINDS}

    async def lane(first: int) -> None:
        for number in samples[first::LANES]:
            for turn in range(len(KINDS)):
                kind = KINDS[(number + turn) % len(KINDS)]
                seconds[kind].append(await _seconds(http, question, _address(kind, measurement, number)))

    await asyncio.gather(*map(lane, range(LANES)))
    return seconds


async def _seconds(http: httpx.AsyncClient, question: str, email: str) -> float:
    text, values = QUESTIONS[question]
    number = next(_addresses)
    headers = {"x-forwarded-for": f"10.{number >> 16}.{number >> 8 & 255}.{number & 255}"}
    body = {"query": text, "variables": {"input": {"email": email, **values}}}
    started = time.perf_counter()
    answer = await http.post("/graphql", json=body, headers=headers)
    spent = time.perf_counter() - started
    assert "errors" not in answer.json(), answer.text
    return spent


def _medians(seconds: Mapping[str, Sequence[float]]) -> dict[str, float]:
    return {kind: round(statistics.median(found), 4) for kind, found in seconds.items()}


def _tells(seconds: Mapping[str, Sequence[float]]) -> bool:
    """Whether known addresses can be told from unknown ones."""
    medians, unknown = _medians(seconds), seconds["unknown"]
    allowed = max(GAP_SECONDS, GAP * medians["unknown"])
    return any(
        abs(medians[kind] - medians["unknown"]) > allowed and _right_guesses(found, unknown) > RIGHT_GUESSES
        for kind, found in seconds.items()
    )


def _right_guesses(one: Sequence[float], other: Sequence[float]) -> float:
    """How often whoever has learnt which kind is slower is right about one sample of each (Mann-Whitney)."""
    slower = sum((a > b) + (a == b) / 2 for a, b in product(one, other)) / (len(one) * len(other))
    return max(slower, 1 - slower)


def test_the_measure_tells_what_can_be_told() -> None:
    fast, slow = [0.10 + each / 1_000 for each in range(20)], [0.15 + each / 1_000 for each in range(20)]
    assert _tells({"unknown": fast, "verified": slow})
    assert not _tells({"unknown": fast, "verified": fast[::-1]})
    assert not _tells({"unknown": [0.25] * 11 + [0.5] * 9, "verified": [0.25] * 9 + [0.5] * 11})
    assert _tells({"unknown": [0.25] * 19 + [0.5], "verified": [0.25] + [0.5] * 19})
