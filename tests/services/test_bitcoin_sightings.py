"""What a transaction of Bitcoin spends, asked of nodes: no more than it takes to know that it cannot be; and that an output is spent, never by one word alone."""

from typing import Any

import pytest

from integrations.chains.bitcoin.messages import FoundTransaction, Place
from integrations.chains.bitcoin.transactions import Outpoint, Tx, TxInput
from integrations.chains.errors import ChainError
from services.bitcoin_sightings import is_spent, spent_by

OUTPOINT = Outpoint("11" * 32, 0)
SOURCE = FoundTransaction(Tx(OUTPOINT.txid, 2, (), (), 0, 400), Place(7, "22" * 32), 1)
SILENT = ChainError("did not answer in time")


class Nodes:
    """Knows nothing, and counts what it is asked."""

    def __init__(self) -> None:
        self.asked: list[str] = []

    async def transaction(self, txid: str) -> None:
        self.asked.append(txid)


async def test_made_up_inputs_cost_few_questions() -> None:
    inputs = tuple(TxInput(Outpoint(f"{number:064x}", 0), 0) for number in range(200))
    nodes: Any = Nodes()
    assert await spent_by(nodes, Tx("00" * 32, 2, inputs, (), 0, 400)) is None
    assert len(nodes.asked) < 10


class Sayers:
    """Two nodes, which say this of an output and of the transaction that made it."""

    chain = "bitcoin"

    def __init__(self, outputs: list[object], sources: list[object]) -> None:
        self._outputs, self._sources = outputs, sources

    async def outputs_of_all(self, _outpoint: Outpoint) -> dict[str, object]:
        return dict(zip("ab", self._outputs, strict=True))

    async def transactions_of_all(self, _txid: str) -> dict[str, object]:
        return dict(zip("ab", self._sources, strict=True))


async def test_an_output_is_spent_where_all_say_so() -> None:
    nodes: Any = Sayers([None, None], [SOURCE, SOURCE])
    assert await is_spent(nodes, OUTPOINT)
    there: Any = Sayers([None, "an output"], [SOURCE, SOURCE])
    assert not await is_spent(there, OUTPOINT)
    given_up: Any = Sayers([None, None], [SOURCE, None])
    assert not await is_spent(given_up, OUTPOINT)


@pytest.mark.parametrize(("outputs", "sources"), [([None, SILENT], [SOURCE, SOURCE]), ([None, None], [SOURCE, SILENT])])
async def test_one_of_two_nodes_is_not_believed(outputs: list[object], sources: list[object]) -> None:
    nodes: Any = Sayers(outputs, sources)
    with pytest.raises(ChainError):
        await is_spent(nodes, OUTPOINT)
