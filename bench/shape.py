"""What all contenders serve and are asked, so that each does the same work: markets, operations, a token.

Prices are made up and round; only how many there are, and how long they are written, matters. This module knows nothing of the server's
own code, so that peers start quickly with it.
"""

import itertools
import json
import time
from base64 import urlsafe_b64encode
from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path

import jwt
import orjson
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

CATALOGUE = Path(__file__).resolve().parent.parent / "services" / "catalogue"
MARKETS = 100
"""Markets of the catalogue, and further pairs of its assets up to so many: what `markets(first: 100)` asks for."""
TICK_FIELDS = ("symbol", "price", "bid", "ask", "time")
"""Fields of a tick that operations choose from; `sequence` is in all of them: it says which tick it was."""
TICKER_FIELDS = ("last", "bid", "ask", "open24h", "high24h", "low24h", "volume24h", "changePercent24h")
ISSUER = "http://localhost:8000"
AUDIENCE = "cryptovault"
TOKEN_SECONDS = 900
USER_ID = "6560a1b2c3d4e5f6a7b8c9d0"
RULES = {
    "tickSize": "0.01",
    "lotSize": "0.00000001",
    "minQuantity": "0.00001",
    "maxQuantity": "500",
    "minNotional": "1",
    "priceBand": "0.1",
    "makerFee": "0.001",
    "takerFee": "0.0015",
}
VIEWER = {"id": urlsafe_b64encode(f"User:{USER_ID}".encode()).decode().rstrip("="), "email": "trader@bench.example"}


@dataclass(frozen=True, slots=True)
class Pair:
    """A market's name."""

    symbol: str
    base: str
    quote: str


def pairs() -> list[Pair]:
    """The markets, those of the catalogue first."""
    known = [Pair(each["symbol"], each["base"], each["quote"]) for each in _file("markets.json")]
    codes = [asset["code"] for asset in _file("assets.json")]
    made = [Pair(f"{base}-{quote}", base, quote) for quote, base in itertools.product(codes, codes) if base != quote]
    return list(dict.fromkeys([*known, *made]))[:MARKETS]


def ticker_values(place: int) -> dict[str, str]:
    """Figures of the market at this place, as GraphQL writes them."""
    last = Decimal("60000.25") + 13 * place
    return dict(
        zip(
            TICKER_FIELDS,
            (
                f"{last}",
                f"{last - Decimal('0.51')}",
                f"{last + Decimal('0.51')}",
                f"{last - 1200}",
                f"{last + 500}",
                f"{last - 1500}",
                f"{12345 + place}.6789",
                f"{(Decimal(120000) / (last - 1200)).quantize(Decimal('0.0001'))}",
            ),
            strict=True,
        )
    )


def rows() -> list[dict[str, object]]:
    """`markets.nodes` of the answer, in its order."""
    found: list[dict[str, object]] = [
        {
            "id": opaque_id("Market", pair.symbol),
            "symbol": pair.symbol,
            "base": {"code": pair.base},
            "quote": {"code": pair.quote},
            "status": "TRADING",
            "watched": None,
            "rules": RULES,
            "ticker": ticker_values(place),
        }
        for place, pair in enumerate(pairs())
    ]
    return sorted(found, key=lambda row: str(row["symbol"]))


@dataclass(frozen=True, slots=True)
class Query:
    """What is asked, and an answer to it for the limits that only send bytes."""

    text: str
    answer: Mapping[str, object]


def markets_query(*fields: str) -> Query:
    """A page of all markets, with their names and these fields."""
    selections = {
        "watched": "watched",
        "rules": f"rules {{ {' '.join(RULES)} }}",
        "ticker": f"ticker {{ {' '.join(TICKER_FIELDS)} }}",
    }
    selected = " ".join(selections[each] for each in fields)
    text = (
        f"query Markets {{ markets(first: {MARKETS}) {{ nodes {{ id symbol base {{ code }} quote {{ code }} status "
        f"{selected} }} pageInfo {{ hasNextPage endCursor }} }} }}"
    )
    names = ("id", "symbol", "base", "quote", "status", *fields)
    nodes = [{name: row[name] for name in names} for row in rows()]
    page = {"nodes": nodes, "pageInfo": {"hasNextPage": False, "endCursor": nodes[-1]["id"]}}
    return Query(text, {"data": {"markets": page}})


def difference(expected: object, found: object, where: str = "data") -> str | None:
    """Where two answers differ otherwise than by values; None: nowhere."""
    if type(expected) is not type(found):
        return f"{where} is {type(found).__name__}, not {type(expected).__name__}"
    if isinstance(expected, dict) and isinstance(found, dict):
        if [*expected] != [*found]:
            return f"{where} has {', '.join(found)}, not {', '.join(expected)}"
        parts = [(f"{where}.{name}", value, found[name]) for name, value in expected.items()]
    elif isinstance(expected, list) and isinstance(found, list):
        if len(expected) != len(found):
            return f"{where} has {len(found)} rows, not {len(expected)}"
        parts = [(f"{where}.{place}", *pair) for place, pair in enumerate(zip(expected, found, strict=True))]
    else:
        return None
    differences = (difference(wanted, got, path) for path, wanted, got in parts)
    return next((each for each in differences if each is not None), None)


def viewer_query() -> Query:
    """Who is signed in."""
    return Query("query Viewer { viewer { id email } }", {"data": {"viewer": VIEWER}})


def opaque_id(kind: str, key: str) -> str:
    """An id as long as ours."""
    return urlsafe_b64encode(f"{kind}:{key}".encode()).decode().rstrip("=")


def tick_operations(operations: int, symbols: int) -> list[dict[str, object]]:
    """So many payloads of `subscribe`, each with another document, on the same first markets: other selections, the longest first, then other names."""
    chosen = [fields for size in range(len(TICK_FIELDS), 0, -1) for fields in itertools.combinations(TICK_FIELDS, size)]
    watched = tick_symbols(symbols)
    fields = itertools.islice(itertools.cycle(chosen), operations)
    return [tick_operation(f"Ticks{number}", each, watched) for number, each in enumerate(fields)]


def tick_symbols(count: int) -> list[str]:
    """The first so many markets."""
    return [pair.symbol for pair in pairs()[:count]]


def tick_operation(name: str, fields: tuple[str, ...], symbols: list[str]) -> dict[str, object]:
    """One payload of `subscribe`."""
    selected = " ".join((*fields, "sequence"))
    query = f"subscription {name}($symbols: [String!]!) {{ priceTicks(symbols: $symbols) {{ {selected} }} }}"
    return {"query": query, "operationName": name, "variables": {"symbols": symbols}}


def write_lines(path: Path, payloads: list[dict[str, object]]) -> Path:
    """One JSON object a line, as the load client reads them."""
    path.write_bytes(b"".join(orjson.dumps(payload) + b"\n" for payload in payloads))
    return path


@dataclass(frozen=True, slots=True)
class PeerToken:
    """A token built like our access tokens, and the key that proves it."""

    token: str
    public_key: str


def peer_token() -> PeerToken:
    """Signed with a new Ed25519 key."""
    key = Ed25519PrivateKey.generate()
    now = int(time.time())
    claims = {
        "iss": ISSUER,
        "aud": AUDIENCE,
        "sub": USER_ID,
        "sid": "s" * 22,
        "iat": now,
        "exp": now + TOKEN_SECONDS,
    }
    token = jwt.encode(claims, key, "EdDSA", headers={"kid": "688", "typ": "at+jwt"})
    public = key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    return PeerToken(token, public.decode())


def write_shape(path: Path, token: PeerToken, answer: Mapping[str, object]) -> Path:
    """Everything a peer needs to serve, as JSON; `answer` is for the limits."""
    shape = {
        "markets": rows(),
        "answer": answer,
        "users": {USER_ID: VIEWER},
        "publicKey": token.public_key,
        "issuer": ISSUER,
        "audience": AUDIENCE,
    }
    path.write_bytes(orjson.dumps(shape))
    return path


def _file(name: str) -> list[dict[str, str]]:
    found: list[dict[str, str]] = json.loads((CATALOGUE / name).read_bytes())
    return found
