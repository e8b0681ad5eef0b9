"""What a transaction of Bitcoin spends, asked of nodes: no more than it takes to know that it cannot be."""

from typing import Any

from integrations.chains.bitcoin.transactions import Outpoint, Tx, TxInput
from services.bitcoin_sightings import spent_by


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
