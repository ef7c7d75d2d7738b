# SPDX-License-Identifier: Apache-2.0
"""The order desk in a running sidecar: opened, kept at work, counted, closed.

A journal that cannot be opened costs the account its trades, never its reads; it is tried again,
because the pod before this one may still hold it.
"""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable
from typing import Final

from mt5_sidecar.domain.clock import now_ms
from mt5_sidecar.logs import logger
from mt5_sidecar.metrics.orders import OrderMetrics
from mt5_sidecar.orders.desk import OrderDesk
from mt5_sidecar.orders.errors import JournalError, Stopping
from mt5_sidecar.orders.journal import Journal, Store
from mt5_sidecar.orders.outcomes import Outcome
from mt5_sidecar.orders.settings import OrderSettings
from mt5_sidecar.settings import Settings
from mt5_sidecar.terminal.terminal import Terminal

# The agent may keep a late call for its `call_patience_s` before it ends the worker, and takes no
# more than 2 for that; and slack. No knob: shorter, and an order that is still being sent could be
# called NotSent.
AFTER_TIMEOUT_S: Final = 3.0
DAY_S: Final = 86_400.0
# Nobody but the operator hands out later ones.
FIRST_EPOCH: Final = 1


class Office:
    """Where the desk is, if there is one."""

    def __init__(
        self,
        settings: Settings,
        terminal: Terminal,
        metrics: OrderMetrics,
        *,
        on_outcome: Callable[[Outcome], None] = lambda _outcome: None,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self._settings = settings
        self._terminal = terminal
        self._metrics = metrics
        self._on_outcome = on_outcome
        self._sleep = sleep
        self._desk: OrderDesk | None = None
        self._fault: JournalError | None = None
        self._work: asyncio.Task[None] | None = None
        self._stopping = False
        metrics.unknown.set_function(lambda: len(self._desk.unknown) if self._desk else 0)
        metrics.ambiguous.set_function(
            lambda: list(self._desk.unknown.values()).count("Ambiguous") if self._desk else 0
        )
        metrics.waiting.set_function(lambda: self._desk.waiting if self._desk else 0)
        metrics.ready.set_function(lambda: bool(self._desk and self._desk.ready))
        for fault in JournalError.__subclasses__():
            # There from the start: the first of them is a rise from 0, and raises the alert.
            metrics.refusals.labels(fault.slug)

    @property
    def desk(self) -> OrderDesk:
        """Return the desk.

        Raises:
            Stopping: Not any more.
            JournalError: Its journal cannot be used; the class says why.
        """
        if self._stopping:
            raise Stopping("the sidecar is going away", retry_after_s=5)
        if self._desk is None:
            fault = self._fault or JournalError("the journal is not open yet")
            again_s = self._settings.journal_retry_interval_s
            raise type(fault)(fault.detail, retry_after_s=again_s)
        return self._desk

    @property
    def journal_fault(self) -> JournalError | None:
        """Return why trades are refused for the journal; None while it is well, or opened."""
        return self._desk.journal_fault if self._desk else self._fault

    async def start(self) -> None:
        """Open the desk, or begin to try again and again."""
        await self._open()
        self._work = asyncio.create_task(self._keep())

    async def stop(self) -> None:
        """Refuse what is new, finish what is being sent, close the journal."""
        self._stopping = True
        if self._work is not None:
            self._work.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._work
        if self._desk is not None:
            with contextlib.suppress(JournalError):
                await self._desk.stop()

    async def _keep(self) -> None:
        while self._desk is None:
            await self._sleep(self._settings.journal_retry_interval_s)
            await self._open()
        await self._desk.reconcile_forever()

    async def _open(self) -> None:
        desk = self._new_desk()
        try:
            await desk.start()
            if self._settings.order_self_activate and desk.activation.epoch == 0:
                await desk.activation.activate(FIRST_EPOCH)
        except JournalError as error:
            logger.error("orders_journal_unusable", error=error.detail, kind=error.slug)
            self._fault = error
            with contextlib.suppress(JournalError):
                await desk.stop()
            return
        self._desk = desk

    def _new_desk(self) -> OrderDesk:
        settings = order_settings(self._settings)
        account = f"{self._settings.login}@{self._settings.server}"
        return OrderDesk(
            Journal(
                lambda: Store(settings, account=account, now_ms=now_ms()),
                on_write=self._metrics.journal_writes.observe,
            ),
            self._terminal,
            account_id=self._settings.account_id,
            trading=lambda: self._terminal.account_file.trading,
            settings=settings,
            on_outcome=self._told,
        )

    def _told(self, outcome: Outcome) -> None:
        self._metrics.outcomes.labels(outcome.operation, outcome.outcome).inc()
        try:
            self._on_outcome(outcome)
        except Exception:  # noqa: BLE001  a listener's fault must not cost the client its answer
            logger.exception("outcome_not_told", key=outcome.key)


def order_settings(settings: Settings) -> OrderSettings:
    """Return the order core's knobs as the sidecar's settings have them."""
    return OrderSettings(
        journal_file=settings.journal_dir / "orders.sqlite",
        call_timeout_s=settings.call_timeout_s + AFTER_TIMEOUT_S,
        first_tick_timeout_s=settings.first_tick_timeout_s,
        settle_s=settings.order_settle_s,
        retention_s=settings.order_retention_days * DAY_S,
        newborn_s=settings.order_newborn_s,
        compare_patience_s=settings.order_compare_patience_s,
        reconcile_interval_s=settings.order_reconcile_interval_s,
        plan_max_age_s=settings.order_plan_max_age_s,
        change_shown_timeout_s=settings.order_change_shown_timeout_s,
        max_waiting=settings.order_max_waiting,
        kept_ratio=settings.kept_ratio,
        kept_keys=settings.kept_keys,
        deviation_points=settings.order_deviation_points,
    )
