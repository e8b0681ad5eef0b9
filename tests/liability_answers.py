"""Proofs of liabilities as clients get them, made without a database, and the script that verifies them."""

import importlib.util
import json
import subprocess
import sys
from base64 import urlsafe_b64encode
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from types import ModuleType
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from core.ids import encode_id
from services import liability_tree
from services.liabilities import report_text
from services.liability_tree import Leaf, Scales, Units
from tests.components import ROOT

SCRIPT = ROOT / "docs" / "verify_liability.py"
PROOF = """query Proof { viewer { id liabilityProof {
  salt leaf amounts { asset { code } amount }
  path { side hash sums { asset { code } amount } }
  report { id root previousRoot sequence accounts time signature publicKey totals { asset { code } amount } }
} } }"""
SECRET = bytes(range(32))
SCALES: Scales = {"BTC": 8, "ETH": 18, "USD": 2, "YEN": 0}
SIGNER = Ed25519PrivateKey.from_private_bytes(bytes(range(32)))
NOW_MS = 1_790_000_000_123
Json = dict[str, Any]


def _load() -> ModuleType:
    spec = importlib.util.spec_from_file_location("verify_liability", SCRIPT)
    if spec is None or spec.loader is None:
        raise ImportError(f"{SCRIPT} is no module")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


script = _load()


def public_key() -> str:
    """Of SIGNER, as it is published."""
    return _text(SIGNER.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw))


def sign(text: str) -> str:
    """SIGNER's signature."""
    return _text(SIGNER.sign(text.encode()))


def listed(units: Units, scales: Scales = SCALES) -> list[Json]:
    """Amounts as the API lists them."""
    texts = {code: liability_tree.decimal_text(units[code], scales[code]) for code in sorted(units) if units[code]}
    return [{"asset": {"code": code}, "amount": text} for code, text in texts.items()]


def answers(
    accounts: Mapping[str, Units], previous: str | None = None, asked: Iterable[str] | None = None
) -> dict[str, Json]:
    """A report on these accounts, and what each of them, or of those asked for, is answered."""
    leaves = [Leaf(account, units) for account, units in accounts.items()]
    tree = liability_tree.build(leaves, SECRET, SCALES)
    chunks = list(tree.chunks)
    text = report_text(
        number=7, previous=previous, root=tree.root.hash, sequence=41, accounts=tree.accounts,
        totals=tree.root.text, time_ms=NOW_MS,
    )  # fmt: skip
    report: Json = {
        "id": encode_id("LiabilityReport", 7),
        "root": tree.root.hash,
        "previousRoot": previous,
        "sequence": 41,
        "accounts": tree.accounts,
        "time": "2026-09-21T14:13:20.123Z",
        "signature": sign(text),
        "publicKey": public_key(),
        "totals": listed(tree.root.sums),
    }
    return {account: _answer(account, chunks, tree.firsts, report) for account in asked or accounts}


def _answer(account: str, chunks: Sequence[bytes], firsts: bytes, report: Json) -> Json:
    place = liability_tree.chunk_of(firsts, liability_tree.place_of(SECRET, account))
    found = None if place is None else liability_tree.prove(chunks[place], account, SECRET, SCALES)
    if found is None:
        raise LookupError(account)
    leaf, node, steps = found
    proof = {
        "salt": liability_tree.salt_of(SECRET, account),
        "leaf": node.hash,
        "amounts": listed(leaf.units),
        "path": [{"side": step.side.value, "hash": step.hash, "sums": listed(step.sums)} for step in steps],
        "report": report,
    }
    # As it comes over the wire, so that no test changes what another answer shares.
    return {"data": {"viewer": {"id": encode_id("User", account), "liabilityProof": json.loads(json.dumps(proof))}}}


def problem(answer: object, **known: str | None) -> str | None:
    """What the script finds wrong with an answer; None: it verifies."""
    given = {"public_key": None, "root": None, "previous_root": None, **known}
    try:
        script.verify(answer, **given)
    except script.DoesNotHold as error:
        return str(error)
    return None


def run_script(folder: Path, answer: object, *options: str) -> tuple[int, str, str]:
    """The script as people run it, with nothing but Python: status, output, errors."""
    saved = folder / "answer.json"
    saved.write_text(answer if isinstance(answer, str) else json.dumps(answer))
    done = subprocess.run(
        [sys.executable, "-I", "-S", str(SCRIPT), str(saved), *options], capture_output=True, text=True, check=False
    )
    return done.returncode, done.stdout, done.stderr


def _text(data: bytes) -> str:
    return urlsafe_b64encode(data).decode().rstrip("=")
