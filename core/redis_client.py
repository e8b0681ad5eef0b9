"""How this program talks to Redis: no hidden retries (each user has its own policy), RESP2, time limits set by the caller.

redis-py's own time limit stays off: it sends with `asyncio.wait_for`, which on Python 3.11 swallows a cancellation that arrives
as the sending ends, so that a task waits for ever. Whoever calls wraps the call in `asyncio.timeout`.
"""

from redis.asyncio import BlockingConnectionPool, Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import RedisError

REDIS_ERRORS = (RedisError, OSError, TimeoutError)
"""What a call may raise when the server is away, refuses, or does not answer in time."""


def connect(url: str, *, max_connections: int) -> Redis:
    """A client that connects when first used; at most so many calls run at a time, others wait for their turn.

    Raises:
        ValueError: for a URL that is none of Redis'.
    """
    pool = BlockingConnectionPool.from_url(
        url,
        timeout=None,
        protocol=2,
        retry=Retry(NoBackoff(), 0),
        socket_timeout=None,
        socket_connect_timeout=None,
        socket_keepalive=True,
        max_connections=max_connections,
        client_name="cryptovault",
    )
    return Redis.from_pool(pool)
