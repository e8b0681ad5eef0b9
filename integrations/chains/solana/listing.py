"""The whole history of an address from a slot on: pages of one node, and the union of what several nodes tell."""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, replace

from integrations.chains.shapes import malformed
from integrations.chains.solana.messages import SignatureRecord, Tip

MOST_PAGES = 100
"""Of one node at once: 100,000 transactions."""
MOST_OVERLAP_SLOTS = 2_000
"""About a quarter of an hour: a node further behind than this is no longer waited for, where enough others are there."""

Page = Callable[[str | None], Awaitable[list[SignatureRecord]]]


@dataclass(frozen=True, slots=True)
class Listing:
    """What happened to some addresses, the oldest first. Ask again from `covered_slot`, and drop what is known by its signature.

    `covered_slot` is where the node that is furthest behind stands, so that it too is heard on what others may have left out.
    """

    records: tuple[SignatureRecord, ...]
    covered_slot: int


async def since(slot: int, page: Page, *, most: int) -> list[SignatureRecord]:
    """All records of one node from the slot on, the newest first; `page` gives what is older than a signature, at most `most` of it.

    All pages come from one node: another may not know the signature to go on from, and say that history ends there.
    Raises ProviderFailed(MALFORMED) for a node that does not stop listing, or goes forwards.
    """
    found: list[SignatureRecord] = []
    seen: set[str] = set()
    for _ in range(MOST_PAGES):
        records = await page(found[-1].signature if found else None)
        if any(each.signature in seen for each in records) or (found and records and records[0].slot > found[-1].slot):
            raise malformed("signatures", "older ones on each page")
        seen |= {each.signature for each in records}
        found += records
        if len(records) < most or records[-1].slot < slot:
            return [each for each in found if each.slot >= slot]
    raise malformed("signatures", f"an end within {MOST_PAGES} pages")


def merged(told: Sequence[tuple[Tip, list[SignatureRecord]]], needed: int) -> Listing:
    """What all nodes told, each signature once; covered is only what `needed` of them have told.

    A signature that any node calls successful is: `failed` only saves asking for it.
    """
    found: dict[str, SignatureRecord] = {}
    for _, records in told:
        for each in reversed(records):
            known = found.setdefault(each.signature, each)
            if known.failed and not each.failed:
                found[each.signature] = replace(known, failed=False)
    slots = sorted((tip.slot for tip, _ in told), reverse=True)
    covered = max(slots[-1], slots[needed - 1] - MOST_OVERLAP_SLOTS)
    ordered = sorted(found.values(), key=lambda each: each.slot)
    return Listing(tuple(ordered), covered)
