"""The four pages as one ASGI application. Each runs in a thread of its own, so it may read the ledger."""

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp

from attachd.page import health
from attachd.page.front import POLICY, front
from attachd.page.guard import Guard
from attachd.page.listening import Listen
from attachd.page.metrics import Metrics
from attachd.page.source import Source


def build_app(source: Source, listen: Listen) -> ASGIApp:
    """Wire the pages of a service behind what guards them."""
    pages = _Pages(source)
    routes = [
        Route("/", pages.front),
        Route("/healthz", pages.healthz),
        Route("/readyz", pages.readyz),
        Route("/metrics", pages.metrics),
    ]
    return Guard(Starlette(routes=routes), listen)


class _Pages:
    def __init__(self, source: Source) -> None:
        self._source = source
        self._metrics = Metrics(source)

    def front(self, request: Request) -> Response:
        del request
        page, well = front(self._source)
        return HTMLResponse(
            page, status_code=200 if well else 503, headers={"Content-Security-Policy": POLICY}
        )

    def healthz(self, request: Request) -> Response:
        del request
        return _answer("healthy", health.broken(self._source.now()))

    def readyz(self, request: Request) -> Response:
        del request
        return _answer("ready", health.unready(self._source.now()))

    def metrics(self, request: Request) -> Response:
        text, media_type = self._metrics.exposition(request.headers.get("accept", ""))
        return Response(text, media_type=media_type)


def _answer(word: str, reasons: list[str]) -> Response:
    return JSONResponse({word: not reasons, "reasons": reasons}, status_code=503 if reasons else 200)
