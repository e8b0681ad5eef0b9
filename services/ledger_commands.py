"""Asking the exchange for what must be done in the end: under its key it is done once, so whoever is not answered asks again."""

from core.errors import InvariantBroken
from core.order_vocabulary import OrderErrorCode
from events.answers import Answer
from events.commands import Command
from services.exchange_gateway import ExchangeGateway

_SILENT = frozenset(
    {OrderErrorCode.OUTCOME_UNKNOWN, OrderErrorCode.EXCHANGE_UNAVAILABLE, OrderErrorCode.COMMAND_EXPIRED}
)


class LedgerSilent(Exception):
    """The exchange did not answer; whether it did what was asked is found out by asking again."""


async def have_done(gateway: ExchangeGateway, command: Command) -> Answer:
    """What it was done as, now or before.

    Raises:
        LedgerSilent: it may be done or not.
        InvariantBroken: the ledger refuses what must not be refused.
    """
    answer = await gateway.ask(command)
    if answer.refusal is None:
        return answer
    if answer.refusal.code in _SILENT:
        raise LedgerSilent("the exchange does not answer")
    raise InvariantBroken(f"the ledger refuses: {answer.refusal.code} {command}")
