#!/usr/bin/env python3
"""Verify a proof of liabilities without trusting the server: Python 3.11 or newer, nothing else.

    python3 verify_liability.py answer.json [--public-key KEY] [--root ROOT] [--previous-root ROOT]

`answer.json` is the answer to this query, saved as it came:

    query Proof { viewer { id liabilityProof {
      salt leaf amounts { asset { code } amount }
      path { side hash sums { asset { code } amount } }
      report { id root previousRoot sequence accounts time signature publicKey totals { asset { code } amount } }
    } } }

`--public-key` is the key you noted earlier, from `/.well-known/liabilities-jwks.json` (`x`); `--root` a root that somebody else was shown;
`--previous-root` the root of the report before, which you kept. Exit status: 0 everything holds; 1 it does not, or the file is not an answer.
proof-of-liabilities.md beside this file says what is hashed and signed, and what it proves.
"""

import argparse
import json
import re
import sys
from base64 import urlsafe_b64decode, urlsafe_b64encode
from binascii import Error as Base64Error
from collections.abc import Mapping, Sequence
from decimal import Context, Decimal
from hashlib import sha256, sha512
from pathlib import Path
from typing import Any

LEAF = "cryptovault/liability-leaf/1"
NODE = "cryptovault/liability-node/1"
REPORT = "cryptovault/liability-report/1"
HASH = re.compile(r"[0-9a-f]{64}", re.ASCII)
AMOUNT = re.compile(r"(0|[1-9][0-9]*)(\.[0-9]*[1-9])?", re.ASCII)
CODE = re.compile(r"[A-Z0-9][A-Z0-9._-]{0,31}", re.ASCII)
LONGEST_AMOUNT = 100
MOST_STEPS = 64
EXACT = Context(prec=400)

Amounts = Mapping[str, Decimal]


class DoesNotHold(Exception):
    """What is wrong, in a sentence."""


def amounts_of(listed: Any, what: str) -> dict[str, Decimal]:
    """Amounts as the API lists them: each asset once, by code, in the one spelling of numbers, none below or at zero."""
    found: dict[str, Decimal] = {}
    for each in expect(listed, list, what):
        code = expect(expect(expect(each, dict, what).get("asset"), dict, f"an asset in {what}").get("code"), str, what)
        text = expect(each.get("amount"), str, f"the amount of {code} in {what}")
        if not CODE.fullmatch(code) or code in found:
            raise DoesNotHold(f"{what}: {code!r} is no asset, or is listed twice")
        if text.startswith("-"):
            raise DoesNotHold(f"{what}: {text} {code} is less than nothing")
        if len(text) > LONGEST_AMOUNT or not AMOUNT.fullmatch(text) or text == "0":
            raise DoesNotHold(f"{what}: {text[:LONGEST_AMOUNT]!r} is not how an amount of {code} is written")
        found[code] = Decimal(text)
    if list(found) != sorted(found):
        raise DoesNotHold(f"{what}: the assets are not in the order of their codes")
    return found


def text_of(amounts: Amounts) -> str:
    """`BTC=1.5,ETH=2`, by code; empty: nothing."""
    return ",".join(f"{code}={number_text(amounts[code])}" for code in sorted(amounts))


def number_text(amount: Decimal) -> str:
    """Without exponent and needless zeros."""
    text = format(amount, "f")
    return text.rstrip("0").rstrip(".") if "." in text else text


def added(one: Amounts, other: Amounts) -> dict[str, Decimal]:
    """Both together, exactly."""
    return {code: EXACT.add(one.get(code, Decimal(0)), other.get(code, Decimal(0))) for code in sorted({*one, *other})}


def hash_of(*lines: str) -> str:
    """SHA-256 of lines, each ended by a line feed."""
    return sha256("".join(f"{line}\n" for line in lines).encode()).hexdigest()


def expect(value: Any, kind: type, what: str) -> Any:
    """The value, if it is of this kind."""
    if not isinstance(value, kind) or (kind is int and isinstance(value, bool)):
        raise DoesNotHold(f"{what} is missing, or is no {kind.__name__}")
    return value


def digest(value: Any, what: str) -> str:
    """A hash as the API writes it."""
    text: str = expect(value, str, what)
    if not HASH.fullmatch(text):
        raise DoesNotHold(f"{what} is not 64 hexadecimal digits")
    return text


def one_line(value: Any, what: str) -> str:
    """A text that stands in a line of what is hashed."""
    text: str = expect(value, str, what)
    if not text or not text.isascii() or not text.isprintable():
        raise DoesNotHold(f"{what} is empty, or no printable ASCII")
    return text


def verify_tree(account: str, proof: Mapping[str, Any]) -> tuple[str, dict[str, Decimal]]:
    """From the leaf to the root: the root's hash and sums, as they follow from the account's amounts. Raises DoesNotHold."""
    sums = amounts_of(proof.get("amounts"), "the account's amounts")
    found = hash_of(LEAF, digest(proof.get("salt"), "the salt"), account, text_of(sums))
    if found != digest(proof.get("leaf"), "the leaf"):
        raise DoesNotHold("the leaf is not the hash of this salt, account and amounts")
    path = expect(proof.get("path"), list, "the path")
    if len(path) > MOST_STEPS:
        raise DoesNotHold(f"a path of {len(path)} steps is longer than that of any tree")
    for number, step in enumerate(path, 1):
        beside = digest(expect(step, dict, f"step {number}").get("hash"), f"the hash of step {number}")
        beside_sums = amounts_of(step.get("sums"), f"the sums of step {number}")
        if step.get("side") == "LEFT":
            found = hash_of(NODE, beside, text_of(beside_sums), found, text_of(sums))
        elif step.get("side") == "RIGHT":
            found = hash_of(NODE, found, text_of(sums), beside, text_of(beside_sums))
        else:
            raise DoesNotHold(f"step {number} is neither LEFT nor RIGHT")
        sums = added(sums, beside_sums)
    return found, sums


def signed_text(report: Mapping[str, Any]) -> bytes:
    """What the house has signed of a report."""
    if "previousRoot" not in report:
        raise DoesNotHold("previousRoot is missing: it is null in the first report, and asked for in any case")
    previous = report["previousRoot"]
    lines = (
        REPORT,
        one_line(report.get("id"), "the report's id"),
        "-" if previous is None else digest(previous, "the previous root"),
        digest(report.get("root"), "the root"),
        str(expect(report.get("sequence"), int, "the sequence")),
        str(expect(report.get("accounts"), int, "the number of accounts")),
        text_of(amounts_of(report.get("totals"), "the totals")),
        one_line(report.get("time"), "the time"),
    )
    return "".join(f"{line}\n" for line in lines).encode()


def verify(answer: Any, *, public_key: str | None, root: str | None, previous_root: str | None) -> list[str]:
    """What was found true, in sentences. Raises DoesNotHold."""
    data = expect(expect(answer, dict, "the answer").get("data"), dict, "the answer's data")
    viewer = expect(data.get("viewer"), dict, "viewer, who must be signed in,")
    account = one_line(viewer.get("id"), "viewer.id")
    proof = expect(viewer.get("liabilityProof"), dict, "liabilityProof, null for who is in no report,")
    report = expect(proof.get("report"), dict, "the report")
    found, sums = verify_tree(account, proof)
    if found != digest(report.get("root"), "the root"):
        raise DoesNotHold("the path does not lead to the report's root")
    if sums != amounts_of(report.get("totals"), "the totals"):
        raise DoesNotHold("the sums along the path are not the report's totals")
    if expect(report.get("accounts"), int, "the number of accounts") < 1 + len(proof["path"]):
        raise DoesNotHold("the report counts fewer accounts than the path shows")
    shown = one_line(report.get("publicKey"), "the public key")
    if not is_signed(
        raw(shown, 32, "the public key"), signed_text(report), raw(report.get("signature"), 64, "the signature")
    ):
        raise DoesNotHold("the signature is not that of the public key over this report")
    if public_key is not None and shown != public_key:
        raise DoesNotHold(f"the report is signed with {shown}, not with the key you noted")
    if root is not None and found != root:
        raise DoesNotHold(f"the root is {found}, not the one you were told: people are shown different reports")
    if previous_root is not None and report.get("previousRoot") != previous_root:
        raise DoesNotHold("the report does not name the one you kept as the one before")
    return told(account, report, proof, sums, pinned=public_key is not None, compared=root is not None)


def told(
    account: str, report: Mapping[str, Any], proof: Mapping[str, Any], totals: Amounts, *, pinned: bool, compared: bool
) -> list[str]:
    """The verdict."""
    own = text_of(amounts_of(proof["amounts"], "amounts")) or "nothing"
    return [
        f"leaf       account {account} stands in the report with {own}",
        f"path       {len(proof['path'])} steps lead to the root {report['root']}; nothing on the way is below zero",
        f"totals     the sums on the way are the totals: {text_of(totals) or 'nothing'}, of {report['accounts']} accounts",
        f"signature  of {report['time']}, after event {report['sequence']}, by {report['publicKey']}",
        "           which is the key you noted" if pinned else "           compare the key with one you noted earlier",
        "root       is the one you were told" if compared else "root       compare it with what others are shown",
    ]


# Ed25519 as in RFC 8032, section 6, for verification alone: slow, and with nothing secret in it.
P = 2**255 - 19
Q = 2**252 + 27742317777372353535851937790883648493
D = -121665 * pow(121666, P - 2, P) % P
ROOT_OF_MINUS_ONE = pow(2, (P - 1) // 4, P)

Point = tuple[int, int, int, int]
"""Extended coordinates X, Y, Z, T with x = X/Z, y = Y/Z, xy = T/Z."""


def point_added(one: Point, other: Point) -> Point:
    """Both together."""
    a = (one[1] - one[0]) * (other[1] - other[0]) % P
    b = (one[1] + one[0]) * (other[1] + other[0]) % P
    c = 2 * one[3] * other[3] * D % P
    d = 2 * one[2] * other[2] % P
    e, f, g, h = b - a, d - c, d + c, b + a
    return e * f % P, g * h % P, f * g % P, e * h % P


def point_times(times: int, point: Point) -> Point:
    """The point so many times."""
    result: Point = (0, 1, 1, 0)
    while times:
        if times & 1:
            result = point_added(result, point)
        point = point_added(point, point)
        times >>= 1
    return result


def recovered_x(y: int, sign: int) -> int | None:
    """The x of a point; None: there is no such point."""
    if y >= P:
        return None
    square = (y * y - 1) * pow(D * y * y + 1, P - 2, P) % P
    if not square:
        return None if sign else 0
    x = pow(square, (P + 3) // 8, P)
    if (x * x - square) % P:
        x = x * ROOT_OF_MINUS_ONE % P
    if (x * x - square) % P:
        return None
    return x if x & 1 == sign else P - x


def point_of(data: bytes) -> Point | None:
    """The point that 32 bytes are; None: none."""
    number = int.from_bytes(data, "little")
    y = number & ((1 << 255) - 1)
    x = recovered_x(y, number >> 255)
    return None if x is None else (x, y, 1, x * y % P)


BASE_Y = 4 * pow(5, P - 2, P) % P
BASE_X = recovered_x(BASE_Y, 0) or 0
BASE: Point = (BASE_X, BASE_Y, 1, BASE_X * BASE_Y % P)


def is_signed(public_key: bytes, message: bytes, signature: bytes) -> bool:
    """Whether the key signed the message."""
    key, commitment, s = point_of(public_key), point_of(signature[:32]), int.from_bytes(signature[32:], "little")
    if key is None or commitment is None or s >= Q:
        return False
    challenge = int.from_bytes(sha512(signature[:32] + public_key + message).digest(), "little") % Q
    left, right = point_times(s, BASE), point_added(commitment, point_times(challenge, key))
    return not ((left[0] * right[2] - right[0] * left[2]) % P or (left[1] * right[2] - right[1] * left[2]) % P)


def raw(value: Any, size: int, what: str) -> bytes:
    """So many bytes that are written in base64url without padding, in their one spelling."""
    text = one_line(value, what)
    try:
        data = urlsafe_b64decode(text + "=" * (-len(text) % 4))
    except (Base64Error, ValueError):
        data = b""
    if len(data) != size or encoded(data) != text:
        raise DoesNotHold(f"{what} is not {size} bytes in base64url")
    return data


def encoded(data: bytes) -> str:
    """Base64url without padding."""
    return urlsafe_b64encode(data).decode().rstrip("=")


def main(arguments: Sequence[str]) -> int:
    """Verify one file; gives the exit status."""
    parser = argparse.ArgumentParser(description="Verify that an account is in a signed report of liabilities.")
    parser.add_argument("answer", type=Path, help="the saved JSON answer; see the top of this file for the query")
    parser.add_argument("--public-key", help="the key that you noted earlier")
    parser.add_argument("--root", help="the root that somebody else was shown")
    parser.add_argument("--previous-root", help="the root of the report before")
    options = parser.parse_args(arguments)
    try:
        answer = json.loads(options.answer.read_text(encoding="utf-8"))
        lines = verify(answer, public_key=options.public_key, root=options.root, previous_root=options.previous_root)
    except DoesNotHold as error:
        sys.stderr.write(f"DOES NOT HOLD: {error}\n")
        return 1
    except (OSError, ValueError, RecursionError) as error:
        sys.stderr.write(f"DOES NOT HOLD: {options.answer} cannot be read as JSON: {error}\n")
        return 1
    sys.stdout.write("".join(f"{line}\n" for line in (*lines, "VERIFIED")))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
