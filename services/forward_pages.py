"""Pages of an activity that is read newest first and forwards only, by a chain that goes on from a transaction: above its blocks stands what is in none, with cursors of its own."""

import re
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import replace

from core.errors import InvalidInput
from core.paging import Page, PageRequest
from core.vocabulary import TimeOrder
from events.wallet import WalletMovement

ReadBlocks = Callable[[PageRequest], Awaitable[Page[WalletMovement]]]
_ABOVE = re.compile(r"above-([0-9]{1,16})", re.ASCII)


def require_forwards(order: TimeOrder, request: PageRequest) -> None:
    """Raises InvalidInput for any other direction."""
    if order is not TimeOrder.NEWEST_FIRST or request.backwards or request.before is not None:
        raise InvalidInput("on this chain activity is read newest first and forwards", field=["orderBy"])


def cursor_in(text: str | None, form: re.Pattern[str]) -> re.Match[str] | None:
    """The parts of a cursor; None where there is none. Raises InvalidInput for a foreign one."""
    if text is None:
        return None
    found = form.fullmatch(text)
    if found is None:
        raise InvalidInput("after must be a cursor of this list", field=["after"])
    return found


def begins_above(request: PageRequest) -> bool:
    """Whether a page begins above all blocks."""
    return request.after is None or _place(request.after) is not None


async def page_of_both(
    above: Iterable[WalletMovement], request: PageRequest, blocks: ReadBlocks
) -> Page[WalletMovement]:
    """A page of what stands above all blocks, the highest place first, and then of the chain. What has got into a block between two pages comes again with its block.

    Raises what `blocks` does; it gets whatever cursor is not of a row above.
    """
    start = _place(request.after)
    if request.after is not None and start is None:
        return await blocks(request)
    left = (each for each in above if start is None or each.place < start)
    rows = [replace(each, cursor=f"above-{each.place}") for each in sorted(left, key=_by_place, reverse=True)]
    if len(rows) > request.size:
        return Page(rows[: request.size], has_next=True, has_previous=start is not None)
    rest = await blocks(PageRequest(first=request.size - len(rows)))
    return Page([*rows, *rest.items], rest.has_next, has_previous=start is not None, end=rest.end)


def _by_place(moved: WalletMovement) -> int:
    return moved.place


def _place(cursor: str | None) -> int | None:
    """Of a row above all blocks; None for any other cursor."""
    found = _ABOVE.fullmatch(cursor or "")
    return None if found is None else int(found[1])
