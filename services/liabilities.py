"""Reports of what the house owes people, and the proof that somebody's balances are in one. `docs/proof-of-liabilities.md` says what they prove."""

import asyncio
import re
from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal

import structlog

from core.clock import Clock, to_datetime
from core.errors import ExpectedError, InvalidInput
from core.ids import encode_id, random_id, random_secret
from events.liability import Amounts, LiabilityProofState, LiabilityReportState, MerkleStepState
from models import liability_report
from models.liability_report import LiabilityReportDocument, NotPublished, TreeHead
from services import liability_tree, peoples_funds
from services.liability_key import LiabilityKey
from services.liability_tree import Leaf, Scales, Tree, Units
from services.peoples_funds import PeoplesFunds

log = structlog.get_logger(__name__)

_HOUR_MS = 3_600_000
_REPORT = "cryptovault/liability-report/1"
_ROOT = re.compile(r"[0-9a-f]{64}", re.ASCII)


class NothingToReport(ExpectedError):
    """Nobody has ever had anything."""

    code = "NOTHING_TO_REPORT"


class ReportOvertaken(ExpectedError):
    """Somebody else has made a report meanwhile."""

    code = "REPORT_OVERTAKEN"


@dataclass(frozen=True, slots=True)
class ReportRules:
    """How often a report is made, 0: never by itself; and of how many, the newest, proofs are kept."""

    hours: int
    kept: int


class Liabilities:
    """Reads reports and proofs. `key` is what they are signed with."""

    def __init__(self, key: LiabilityKey) -> None:
        self.key = key

    async def report(self, root: str | None = None) -> LiabilityReportState | None:
        """The report of this root, or the newest. Raises InvalidInput."""
        row = await _row(root)
        return None if row is None else _state(row)

    async def proof(self, account: str, root: str | None = None) -> LiabilityProofState | None:
        """That an account is in the report of this root, or in the newest; None when it is not, or not kept any more. Raises InvalidInput."""
        row = await _row(root)
        tree = None if row is None else await liability_report.read_tree(row.tree)
        if row is None or tree is None:
            return None
        place = liability_tree.chunk_of(tree.firsts, liability_tree.place_of(tree.secret, account))
        chunk = None if place is None else await liability_report.read_chunk(tree.id, place)
        found = None if chunk is None else liability_tree.prove(chunk, account, tree.secret, tree.scales)
        if found is None:
            return None
        leaf, node, steps = found
        return LiabilityProofState(
            report=_state(row),
            salt=liability_tree.salt_of(tree.secret, account),
            amounts=_amounts(leaf.units, tree.scales),
            leaf=node.hash,
            path=[MerkleStepState(step.side, step.hash, _amounts(step.sums, tree.scales)) for step in steps],
        )


class LiabilityReporter:
    """Makes reports. Who calls `make` holds the lease: what another one has not finished is cleared away."""

    def __init__(self, key: LiabilityKey, clock: Clock, scales: Scales, rules: ReportRules) -> None:
        self._key = key
        self._clock = clock
        self._scales = scales
        self._rules = rules

    async def is_due(self) -> bool:
        """Whether the newest report is older than it may be, or there is none."""
        if not self._rules.hours:
            return False
        newest = await _row(None)
        return newest is None or self._clock.now_ms() - newest.time_ms >= self._rules.hours * _HOUR_MS

    async def make(self) -> LiabilityReportState:
        """Make a report of what people have now, and forget trees that are not kept.

        Raises:
            NothingToReport: there is no account.
            NegativeBalance: an account has less than nothing; nothing is reported.
            ReportOvertaken: the lease was lost meanwhile.
            JournalDamaged, UnknownFormat, PyMongoError.
        """
        before = await _row(None)
        number = 1 if before is None else before.id + 1
        await liability_report.delete_trees_before(number - self._rules.kept)
        funds = await peoples_funds.read()
        if not funds.accounts:
            raise NothingToReport("nobody has ever had anything here")
        secret = random_secret()
        tree, chunks = await asyncio.to_thread(self._build, funds, secret)
        head = TreeHead(random_id(), secret, tree.firsts, {asset: self._scales[asset] for asset in _assets(funds)})
        await liability_report.insert_tree(head, chunks)
        row = self._signed(number, None if before is None else before.root, tree, funds.sequence, head)
        try:
            await liability_report.publish(row)
        except NotPublished as error:
            raise ReportOvertaken(str(error)) from error
        await liability_report.delete_trees_before(number + 1 - self._rules.kept)
        log.info("liabilities.reported", number=number, root=row.root, sequence=row.sequence, accounts=row.accounts)
        return _state(row)

    def _build(self, funds: PeoplesFunds, secret: bytes) -> tuple[Tree, list[bytes]]:
        leaves = (Leaf(account, units) for account, units in funds.accounts.items())
        tree = liability_tree.build(leaves, secret, self._scales)
        return tree, list(tree.chunks)

    def _signed(
        self, number: int, previous: str | None, tree: Tree, sequence: int, head: TreeHead
    ) -> LiabilityReportDocument:
        totals, time_ms = tree.root.sums, self._clock.now_ms()
        text = liability_tree.amounts_text(totals, self._scales)
        signed = report_text(
            number=number, previous=previous, root=tree.root.hash, sequence=sequence, accounts=tree.accounts, totals=text, time_ms=time_ms
        )  # fmt: skip
        return LiabilityReportDocument(
            id=number,
            root=tree.root.hash,
            previous_root=previous,
            sequence=sequence,
            totals={
                asset: liability_tree.decimal_text(totals[asset], self._scales[asset])
                for asset in sorted(totals)
                if totals[asset]
            },
            accounts=tree.accounts,
            time_ms=time_ms,
            signature=self._key.sign(signed),
            public_key=self._key.public,
            tree=head.id,
        )


def report_text(
    *, number: int, previous: str | None, root: str, sequence: int, accounts: int, totals: str, time_ms: int
) -> str:
    """What is signed: all that a report says, a line each, in the spelling of the API. `totals` as in `liability_tree.amounts_text`."""
    time = to_datetime(time_ms).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    lines = (_REPORT, encode_id("LiabilityReport", number), previous or "-", root, sequence, accounts, totals, time)
    return "".join(f"{line}\n" for line in lines)


async def _row(root: str | None) -> LiabilityReportDocument | None:
    if root is None:
        return await liability_report.by_number(await liability_report.newest_number())
    if _ROOT.fullmatch(root) is None:
        raise InvalidInput(
            "expected the root of a report, 64 hexadecimal digits in small letters", field=["reportRoot"]
        )
    return await liability_report.by_root(root)


def _assets(funds: PeoplesFunds) -> set[str]:
    return {asset for balances in funds.accounts.values() for asset in balances}


def _amounts(units: Units, scales: Mapping[str, int]) -> Amounts:
    return {asset: Decimal(units[asset]).scaleb(-scales[asset]) for asset in sorted(units) if units[asset]}


def _state(row: LiabilityReportDocument) -> LiabilityReportState:
    return LiabilityReportState(
        number=row.id,
        root=row.root,
        previous_root=row.previous_root,
        sequence=row.sequence,
        totals={asset: Decimal(text) for asset, text in row.totals.items()},
        accounts=row.accounts,
        time_ms=row.time_ms,
        signature=row.signature,
        public_key=row.public_key,
    )
