"""The servers that are compared, each started on the server's core: this one, its peers, and the limits below all of them."""

import shutil
import subprocess
import sys
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path

from bench import processes
from bench.clients import Cores
from bench.servers import ROOT, free_port
from bench.shape import peer_token, write_shape
from bench.vault import Backing, vault

NODE = ROOT / "bench" / "peers" / "node"
VAULT, STRAIGHT = "cryptovault", "cryptovault-straight"
OURS = (VAULT, STRAIGHT)
UVLOOP, UVLOOP_REDIS, MERCURIUS, MERCURIUS_JIT = "uvloop", "uvloop-redis", "mercurius", "mercurius-jit"
_PYTHON = (sys.executable, "-m")
_NODE = ("node", str(NODE / "server.mjs"))
PEERS: dict[str, tuple[str, ...]] = {
    UVLOOP: (*_PYTHON, "bench.peers.limits", "uvloop"),
    UVLOOP_REDIS: (*_PYTHON, "bench.peers.limits", UVLOOP_REDIS),
    "asgi": (*_PYTHON, "bench.peers.limits", "asgi"),
    "ws": (*_NODE, "raw"),
    "graphql-ws": (*_NODE, "graphql-ws"),
    MERCURIUS: (*_NODE, "mercurius"),
    MERCURIUS_JIT: (*_NODE, "mercurius-jit"),
    "mercurius-jit-held": (*_NODE, "mercurius-jit-held"),
    "yoga": (*_NODE, "yoga"),
    "yoga-jit": (*_NODE, "yoga-jit"),
    "stock": (*_PYTHON, "bench.peers.stock"),
}
WITHOUT_SUBSCRIBING = {UVLOOP, UVLOOP_REDIS, "asgi", "ws"}
"""Those that know no GraphQL: every open socket is told of every tick."""
DESCRIBED = {
    VAULT: "CryptoVault",
    STRAIGHT: "CryptoVault, ticks in its own process",
    UVLOOP: "limit: uvloop, prepared bytes",
    UVLOOP_REDIS: "limit: the same, ticks over relay and Redis",
    "asgi": "limit: bare ASGI on uvicorn",
    "ws": "limit: Node `ws` / `http`, prepared bytes",
    "graphql-ws": "graphql-ws on `ws`",
    MERCURIUS: "Mercurius",
    MERCURIUS_JIT: "Mercurius with JIT",
    "mercurius-jit-held": "Mercurius with JIT, verified tokens held",
    "yoga": "GraphQL Yoga",
    "yoga-jit": "GraphQL Yoga with JIT",
    "stock": "Strawberry on FastAPI, as documented",
}


@dataclass(frozen=True, slots=True)
class Started:
    """A running contender. `watched`: process ids by name, `server` the one under test."""

    port: int
    control_port: int
    watched: Mapping[str, int]
    token: str
    counters: Callable[[], Mapping[str, float]] | None = None
    """Reads what the server counts of its caches."""

    def cpu_options(self) -> list[str]:
        """For the load clients."""
        return [option for name, pid in self.watched.items() for option in ("--cpu", f"{name}={pid}")]


@dataclass(frozen=True, slots=True)
class Ground:
    """What contenders are started on. `answer`: what the limits answer. `settings`: of the row that is measured, for CryptoVault."""

    cores: Cores
    folder: Path
    backing: Backing | None
    answer: Mapping[str, object] = field(default_factory=dict)
    settings: Mapping[str, str] = field(default_factory=dict)


def start(name: str, ground: Ground) -> AbstractAsyncContextManager[Started]:
    """Start it and wait until it answers; stopped at the end. Raises RuntimeError when it does not start."""
    if name in OURS:
        return _vault(ground, straight=name == STRAIGHT)
    return _behind_redis(ground) if name == UVLOOP_REDIS else _peer(name, ground)


def install() -> str | None:
    """Install the peers of npm; without Node.js, why there are none."""
    if shutil.which("npm") is None:
        return "Node.js and npm are missing: its peers are left out"
    subprocess.run(["sh", "deploy/node.sh", str(NODE.relative_to(ROOT))], cwd=ROOT, check=True)
    return None if (NODE / "node_modules").exists() else "the peers of npm could not be installed: they are left out"


@asynccontextmanager
async def _vault(ground: Ground, *, straight: bool) -> AsyncIterator[Started]:
    if ground.backing is None:
        raise RuntimeError("the database and Redis are not running")
    control_port = free_port() if straight else None
    async with vault(ground.backing, ground.cores, ground.settings, control_port) as api:
        watched = {"server": api.pid, "relay": ground.backing.relay_pid, "redis": ground.backing.redis_pid}
        yield Started(api.port, control_port or ground.backing.control_port, watched, api.token, api.counters)


@asynccontextmanager
async def _peer(name: str, ground: Ground) -> AsyncIterator[Started]:
    control_port = free_port()
    async with _running(name, ground, control_port) as started:
        yield started


@asynccontextmanager
async def _behind_redis(ground: Ground) -> AsyncIterator[Started]:
    if ground.backing is None:
        raise RuntimeError("Redis is not running")
    backing = ground.backing
    async with _running(UVLOOP_REDIS, ground, backing.redis_port) as peer:
        watched = {**peer.watched, "relay": backing.relay_pid, "redis": backing.redis_pid}
        yield replace(peer, control_port=backing.control_port, watched=watched)


@asynccontextmanager
async def _running(name: str, ground: Ground, control_port: int) -> AsyncIterator[Started]:
    port, token = free_port(), peer_token()
    served = write_shape(ground.folder / "shape.json", token, ground.answer)
    command = (*PEERS[name], str(port), str(control_port), str(served))
    async with processes.running(command, core=ground.cores.server, said=ground.folder / f"{name}.log") as process:
        await processes.listening(port, process)
        await processes.listening(control_port, process)
        yield Started(port, control_port, {"server": process.pid}, token.token)
