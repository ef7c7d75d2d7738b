# SPDX-License-Identifier: Apache-2.0
"""Traces: which trace a request belongs to (W3C), and, where an endpoint is set, spans of requests
and agent calls by OTLP.

OpenTelemetry is an extra (`otel`) and is loaded only with an endpoint. While there is none, nothing
here costs more than asking whether there is.
"""

import re
import threading
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext
from contextvars import ContextVar
from typing import Any, Final

from mt5_sidecar import __version__
from mt5_sidecar.logs import logger
from mt5_sidecar.settings import Settings

HEADER: Final = "traceparent"
# Source: www.w3.org/TR/trace-context section 3.2: version, trace id, parent id, flags.
_PARENT: Final = re.compile(
    r"[0-9a-f]{2}-(?!0{32})([0-9a-f]{32})-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2}"
)

_CALLER: Final = ContextVar("traceparent", default="")
"""The caller's own header, while no spans of ours are made: it is passed on as it came."""


def trace_id(traceparent: str) -> str:
    """Return the trace that the caller names, empty where it names none."""
    match = _PARENT.fullmatch(traceparent)
    return match[1] if match else ""


@contextmanager
def of_caller(traceparent: str) -> Iterator[None]:
    """Have what happens inside, and what it starts, belong to the caller's trace."""
    token = _CALLER.set(traceparent)
    try:
        yield
    finally:
        _CALLER.reset(token)


class Tracing:
    """Spans, or nothing: `tracer` is None while traces are off."""

    def __init__(self, provider: Any = None, *, flush_timeout_s: float = 0.0) -> None:
        self._provider, self._flush_timeout_s = provider, flush_timeout_s
        self.tracer = provider.get_tracer("mt5_sidecar", __version__) if provider else None

    @contextmanager
    def request(self, method: str, route: str, headers: Mapping[str, str]) -> Iterator[Any]:
        """Have what happens inside belong to a request, and to its caller's trace."""
        from opentelemetry.trace import SpanKind
        from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

        parent = TraceContextTextMapPropagator().extract({k.lower(): v for k, v in headers.items()})
        named = {"http.request.method": method, "http.route": route}
        assert self.tracer is not None  # noqa: S101  who calls has asked
        with self.tracer.start_as_current_span(
            f"{method} {route}", context=parent, kind=SpanKind.SERVER, attributes=named
        ) as span:
            yield span

    def message(self, type_: str) -> AbstractContextManager[Any]:
        """Have what happens inside belong to a message of a stream, within the stream's trace."""
        return nullcontext() if self.tracer is None else self._span(f"WS {type_}")

    def _span(self, name: str) -> AbstractContextManager[Any]:
        assert self.tracer is not None  # noqa: S101  who calls has asked
        what: AbstractContextManager[Any] = self.tracer.start_as_current_span(name)
        return what

    def call(self, name: str) -> AbstractContextManager[Any]:
        """Have what happens inside be a call of the agent."""
        if self.tracer is None:
            return nullcontext()
        from opentelemetry.trace import SpanKind

        what: AbstractContextManager[Any] = self.tracer.start_as_current_span(
            f"MetaTrader5.{name}", kind=SpanKind.CLIENT, attributes={"rpc.method": name}
        )
        return what

    def here(self) -> str:
        """Return the `traceparent` of what is being done, for those whom we ask; empty for none."""
        if self.tracer is None:
            return _CALLER.get()
        from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

        told: dict[str, str] = {}
        TraceContextTextMapPropagator().inject(told)
        return told.get(HEADER, "")

    def stop(self) -> None:
        """Send what is left; blocks for `flush_timeout_s` at most: the pod has to end."""
        if self._provider is None:
            return
        # The SDK looks at no clock while it flushes: batch after batch, each is tried again until
        # its own time is over. So it is left behind; a daemon does not keep the process.
        flushing = threading.Thread(target=self._flush, name="traces-flush", daemon=True)
        flushing.start()
        flushing.join(self._flush_timeout_s)

    def _flush(self) -> None:
        self._provider.force_flush()
        self._provider.shutdown()


def id_of(span: Any) -> str:
    """Return the id of a span's trace."""
    return f"{span.get_span_context().trace_id:032x}"


def tracing(settings: Settings) -> Tracing:
    """Return what the settings ask for; without the extra a log line, and no traces."""
    if not settings.otlp_endpoint:
        return Tracing()
    try:
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
        from opentelemetry.sdk.resources import Resource
        from opentelemetry.sdk.trace import TracerProvider
        from opentelemetry.sdk.trace.export import BatchSpanProcessor
        from opentelemetry.sdk.trace.sampling import ParentBasedTraceIdRatio
    except ImportError as error:
        logger.error("tracing_off", why=f"the image lacks the extra `otel`: {error}")
        return Tracing()
    resource = Resource.create(
        {
            "service.name": "mt5-bridge-sidecar",
            "service.version": __version__,
            "service.instance.id": settings.pod_uid or settings.pod_name,
            "k8s.namespace.name": settings.namespace,
            "k8s.pod.name": settings.pod_name,
            "mt5.account_id": settings.account_id,
        }
    )
    sampler = ParentBasedTraceIdRatio(settings.trace_sample_ratio)
    provider = TracerProvider(resource=resource, sampler=sampler, shutdown_on_exit=False)
    exporter = OTLPSpanExporter(
        endpoint=settings.otlp_endpoint, timeout=int(settings.otlp_timeout_s)
    )
    # Sent by a thread of its own; when the collector is away, spans are dropped and nobody waits.
    provider.add_span_processor(BatchSpanProcessor(exporter))
    return Tracing(provider, flush_timeout_s=settings.otlp_flush_timeout_s)
