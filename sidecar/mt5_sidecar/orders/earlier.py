# SPDX-License-Identifier: Apache-2.0
"""What an earlier pod of this account may have sent, when its journal is not here.

A new journal knows no key. One whole look at the terminal, begun when nothing of an earlier life
can still appear, tells all that was sent: after it, every key's order is either in that look, or
in the journal, or was never sent.
"""

from collections.abc import Callable

from mt5_agent.protocol import Deal, Order
from mt5_sidecar.orders.errors import KeyOfEarlierLife, KeyReused, Settling
from mt5_sidecar.orders.evidence import mark
from mt5_sidecar.orders.findings import executing, found, standing
from mt5_sidecar.orders.gate import Gate
from mt5_sidecar.orders.journal import Journal
from mt5_sidecar.orders.keys import FIRST_OWN_MAGIC, carries, is_token, magic_of, token_of
from mt5_sidecar.orders.looking import Looker
from mt5_sidecar.orders.outcomes import Verdict
from mt5_sidecar.orders.records import Record
from mt5_sidecar.orders.settings import OrderSettings
from mt5_sidecar.orders.sight import Sight

_MARKED = ("order", "close_position", "close_by")


class EarlierLife:
    """The look, and what it says of a key."""

    def __init__(
        self,
        journal: Journal,
        looker: Looker,
        gate: Gate,
        settings: OrderSettings,
        *,
        clock: Callable[[], int],
    ) -> None:
        self._journal = journal
        self._looker = looker
        self._gate = gate
        self._settings = settings
        self._clock = clock
        self._started_ms = clock()
        self._set_ms = 0
        self._settled = False
        self._sight: Sight | None = None

    async def recall(self) -> None:
        """Begin, or begin again, with what the journal says of itself.

        `known_since_ms`: it has every key since then. `earlier_settled`: nothing of an earlier
        life can appear any more, so a look need not wait for that again.
        """
        read = self._journal.read
        known_since_ms = int(await read(lambda store: store.fact("known_since_ms")))
        self._settled = bool(await read(lambda store: store.fact("earlier_settled")))
        self._sight = None
        age_ms = self._clock() - known_since_ms
        self._gate.earlier_known = age_ms >= self._settings.newborn_s * 1000

    def unknown_from_now(self) -> dict[str, str]:
        """Return the facts that make `recall` begin anew: others may have traded until now."""
        return {"known_since_ms": str(self._clock())} | self.begun_anew(settled=False)

    def begun_anew(self, *, settled: bool) -> dict[str, str]:
        """Return the facts with which another life's end is waited for from now on, unless its
        orders can be seen already (`settled`): how long this pod has been here says nothing of
        them."""
        self._started_ms = self._clock()
        return {"earlier_settled": "yes" if settled else ""}

    def wait_anew(self) -> None:
        """Begin to wait again: the clock was set, and tells no longer how long it has been."""
        self._started_ms = self._set_ms = self._clock()

    async def once(self) -> None:
        """Take the look when it is needed and can be taken.

        Raises:
            JournalError: What it says could not be written.
        """
        if self._gate.earlier_known:
            return
        from_ms = self._clock() - int(self._settings.newborn_s * 1000)
        sight = await self._looker.look(from_ms=from_ms)
        if sight is not None and sight.taken_ms >= self._provable_ms(sight):
            await self._remember(sight)

    def find(self, record: Record) -> Verdict | None:
        """Return what an earlier life made of this key, None when it made nothing.

        Raises:
            Settling: The broker is still at it.
            KeyReused: It made something else of it than `record` asks for.
        """
        if self._sight is None or record.operation not in _MARKED:
            return None
        if executing(record, self._sight):
            # The look is too old to tell how it ends: take another.
            self._gate.earlier_known = False
            raise Settling("an earlier pod has sent it, and it is not finished", retry_after_s=5)
        verdict = found(record, self._sight) or standing(record, self._sight)
        if verdict is None and any(
            mark(record, one.comment, one.magic) for one in self._sight.everything
        ):
            raise KeyReused(f"{record.key} was used for another trade", key=record.key)
        return verdict

    def deny(self, account_id: str, key: str) -> None:
        """Return if no earlier life made anything of `key`.

        Raises:
            Settling: That is not known yet.
            KeyOfEarlierLife: It did; only the request itself tells what to look for.
        """
        if not self._gate.earlier_known:
            raise Settling("what an earlier pod has sent is being looked for", retry_after_s=5)
        if self._sight is None:
            return
        token, magic, sight = token_of(account_id, key), magic_of(account_id, key), self._sight
        if any(carries(one.comment, token) or one.magic == magic for one in sight.everything):
            raise KeyOfEarlierLife(
                f"a trade with the key {key} was made, and its journal is lost: send the same"
                " request with the same key, it is answered and not made again",
                key=key,
            )

    async def _remember(self, sight: Sight) -> None:
        facts = {"earlier_settled": "yes"}
        seen: tuple[Order | Deal, ...] = (*sight.all_orders, *sight.deals)
        if not any(is_token(one.comment) or one.magic >= FIRST_OWN_MAGIC for one in seen):
            # Nothing was ever sent before this journal: it knows every key there is.
            facts["known_since_ms"] = "0"
        await self._journal.write(lambda store: store.set_facts(**facts))
        self._settled, self._sight = True, sight
        self._gate.earlier_known = True

    def _provable_ms(self, sight: Sight) -> int:
        last_call_ms = self._started_ms + int(self._settings.call_timeout_s * 1000)
        appeared_ms = 0 if self._settled else last_call_ms
        return max(appeared_ms, sight.connected_ms, self._set_ms) + int(
            self._settings.settle_s * 1000
        )
