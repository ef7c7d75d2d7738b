# SPDX-License-Identifier: Apache-2.0
"""The operations port: liveness, readiness, metrics."""

from __future__ import annotations

from collections.abc import Callable

from aiohttp import web
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest

from mt5_operator import metrics

Problem = Callable[[], str]


def create_app(*, sick: Problem, unready: Problem) -> web.Application:
    """Return the operations server; each problem is a text, empty when there is none."""
    app = web.Application()
    app.router.add_get("/healthz", lambda _: _answer(sick()))
    app.router.add_get("/readyz", lambda _: _answer(unready()))
    app.router.add_get("/metrics", _metrics)
    return app


async def _answer(problem: str) -> web.Response:
    return web.Response(status=503 if problem else 200, text=(problem or "ok") + "\n")


async def _metrics(_: web.Request) -> web.Response:
    body = generate_latest(metrics.REGISTRY)
    return web.Response(body=body, headers={"Content-Type": CONTENT_TYPE_LATEST})
