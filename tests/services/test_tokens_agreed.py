"""The decimals of a token that nobody vouches for, where an amount depends on them: as all nodes tell them."""

from collections.abc import Sequence
from typing import Any

import pytest

from core.clock import ManualClock
from integrations.chains.errors import NodesContradict
from integrations.chains.json_rpc import JsonRpc
from services.tokens import Tokens
from tests.chains import anvil
from tests.evm import catalogue_with, chains_of, client_of, token
from tests.evm_nodes import TwistedNode, client_of_nodes

SIX, EIGHTEEN = f"{6:064x}", f"{18:064x}"


def more_decimals(method: str, _params: Sequence[object], answer: Any) -> Any:
    return answer.replace(SIX, EIGHTEEN) if method == "eth_call" and isinstance(answer, str) else answer


async def test_one_node_alone_does_not_say_how_many_units_a_token_has() -> None:
    async with anvil() as url:
        honest = client_of(url)
        contract = await token(honest, symbol="ODD", decimals=6)
        liar = TwistedNode(JsonRpc(url), twist=more_decimals)
        client = client_of_nodes(liar, TwistedNode(JsonRpc(url)))
        known = catalogue_with()
        tokens = Tokens(known, chains_of(known, client), ManualClock())
        with pytest.raises(NodesContradict):
            await tokens.agreed("ethereum", contract)
        liar.twist = None
        assert (await tokens.agreed("ethereum", contract)).decimals == 6
        await tokens.close()
        await client.close()
        await honest.close()
