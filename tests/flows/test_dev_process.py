import signal
from pathlib import Path

import httpx
import psutil
import pytest

from tests.components import free_port
from tests.processes import gone, server


async def test_dev_answers_and_says_what_runs_where(tmp_path: Path) -> None:
    async with server("dev", data_dir=tmp_path) as dev:
        await dev.wait_for_database()
        async with httpx.AsyncClient(base_url=dev.url, timeout=30) as client:
            assert (await client.get("/health/live")).json() == {"status": "alive"}
            ready = (await client.get("/health/ready")).json()
            missing = await client.get("/no-such-page", headers={"X-Request-ID": "asked-for-it"})
        assert ready["failing"] == ["feeds"]
        assert set(ready["parts"]) == {"database", "bus", "feeds"}
        assert missing.status_code == 404
        assert missing.headers["x-request-id"] == "asked-for-it"
        assert missing.json()["errors"][0]["extensions"] == {"code": "NOT_FOUND", "requestId": "asked-for-it"}
        assert any(f"{dev.url}/graphql" in line for line in dev.out)
        assert any("database" in line and "embedded" in line for line in dev.out)
        logged = await dev.wait_for_line("/no-such-page")
        assert '"request_id":"asked-for-it"' in logged


@pytest.mark.parametrize("number", [signal.SIGINT, pytest.param(signal.SIGTERM, marks=pytest.mark.soak)])
async def test_a_signal_stops_server_and_database(tmp_path: Path, number: signal.Signals) -> None:
    async with server("dev", data_dir=tmp_path) as dev:
        await dev.wait_for_database()
        children = dev.children()
        assert [child for child in children if "secantusd-py" in " ".join(child.cmdline())]
        assert await dev.end(number) == 0
        await gone(children)


async def test_a_second_signal_ends_it_at_once_and_the_database_with_it(tmp_path: Path) -> None:
    async with server("dev", data_dir=tmp_path) as dev:
        await dev.wait_for_database()
        (database,) = dev.children()
        assert os_session(database.pid) == database.pid != os_session(dev.process.pid), (
            "a terminal's Ctrl-C reaches both"
        )
        database.suspend()
        dev.process.send_signal(signal.SIGINT)
        await dev.wait_for_line("process.stopping")
        assert await dev.end(signal.SIGINT) == -signal.SIGINT
        await gone([database])
        assert not any("Traceback" in line for line in dev.err)


async def test_a_signal_while_starting_stops_it_too(tmp_path: Path) -> None:
    absent = f"mongodb://127.0.0.1:{free_port()}/"
    async with server("dev", data_dir=tmp_path, environment={"MONGO_URL": absent, "MONGO_TIMEOUT_MS": "200"}) as dev:
        await dev.wait_for_line("database.retry")
        assert await dev.end(signal.SIGTERM) == 0


def os_session(pid: int) -> int:
    return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[3])


async def test_the_second_start_answers(tmp_path: Path) -> None:
    for _ in range(2):
        async with server("dev", data_dir=tmp_path) as dev:
            answer = await dev.wait_until_answering("{ markets(first: 1) { nodes { symbol } } }")
            assert "errors" not in answer
            await dev.wait_for_database()
            assert await dev.end(signal.SIGTERM) == 0
    assert not psutil.pid_exists(int((tmp_path / "lock").read_text().split()[1]))
