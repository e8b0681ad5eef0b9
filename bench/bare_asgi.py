"""`python -m bench.bare_asgi PORT`: the least an ASGI application can do, behind the uvicorn that the server runs on."""

import sys

import uvicorn
from starlette.types import Receive, Scope, Send

from server.connections import uvicorn_options
from server.process import MOST_FRAME_BYTES


async def bare(_scope: Scope, receive: Receive, send: Send) -> None:
    """Take the body, answer two bytes."""
    while (await receive()).get("more_body"):
        pass
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"2")]})
    await send({"type": "http.response.body", "body": b"{}"})


if __name__ == "__main__":
    uvicorn.run(
        bare,
        port=int(sys.argv[1]),
        loop="uvloop",
        lifespan="off",
        access_log=False,
        log_level="error",
        **uvicorn_options(frame_bytes=MOST_FRAME_BYTES),
    )
