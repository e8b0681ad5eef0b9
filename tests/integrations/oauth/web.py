"""A small HTTP server that takes forms and answers as a test says."""

import asyncio
from collections.abc import Callable, Mapping
from urllib.parse import parse_qs, urlsplit

from tests.integrations.feeds.venues.web import HttpVenue, Reply, Request

Route = Callable[[Request], Reply]


class FormVenue(HttpVenue):
    """Answers by path; `routes` may be changed at any time. A request's body is its form."""

    def __init__(self, routes: Mapping[str, Route]) -> None:
        self.routes = dict(routes)
        super().__init__(self._answer_by_path)

    def asked_for(self, path: str) -> list[Request]:
        """The requests of one path, in order."""
        return [request for request in self.requests if request.path == path]

    def form(self, path: str) -> dict[str, str]:
        """The form of the last request of one path."""
        body = self.asked_for(path)[-1].body
        if not isinstance(body, dict):
            raise TypeError(f"{path} was sent no form")
        return body

    def _answer_by_path(self, request: Request) -> Reply:
        route = self.routes.get(request.path)
        return route(request) if route else Reply({"error": "no such page"}, status=404)

    async def _read(self, reader: asyncio.StreamReader) -> Request:
        lines = (await reader.readuntil(b"\r\n\r\n")).decode().split("\r\n")
        method, target, _ = lines[0].split(" ")
        headers = {
            name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines[1:] if line)
        }
        body = (await reader.readexactly(int(headers.get("content-length", "0")))).decode()
        parts = urlsplit(target)
        query = {name: values[0] for name, values in parse_qs(parts.query).items()}
        form = {name: values[0] for name, values in parse_qs(body, strict_parsing=True).items()} if body else None
        return Request(method, parts.path, query, headers, form)
