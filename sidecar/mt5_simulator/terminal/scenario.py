# SPDX-License-Identifier: Apache-2.0
"""What each test server does. Documented for users in `docs/test-servers.md`; a test compares the
names."""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final

RIGHT_PASSWORD: Final = "right-password"  # noqa: S105  (printed in docs/test-servers.md)
"""The one password that `Simulator-BadPassword` accepts."""


@dataclass(frozen=True, slots=True)
class Outage:
    """The link is lost for `lasts_ms` at the end of every `period_ms` since log-in."""

    period_ms: int
    lasts_ms: int

    def lost(self, elapsed_ms: int) -> bool:
        """Tell whether the link is away `elapsed_ms` after log-in."""
        return elapsed_ms % self.period_ms >= self.period_ms - self.lasts_ms


@dataclass(frozen=True, slots=True)
class Scenario:
    """A broker server's behaviour."""

    known: bool = True
    """False: the terminal has no such server; its journal says nothing at all."""
    reachable: bool = True
    login_ms: int = 60
    """How long an authorisation takes."""
    refusal: tuple[int, str, str] | None = None
    """last_error's code and text, and the words in the journal's brackets."""
    accepts: str = ""
    """The only good password; empty: any that is not empty."""
    outage: Outage | None = None
    wine_outage: Outage | None = None
    """Happens only to a terminal that runs on Wine."""
    hangs: bool = False
    netting: bool = False
    requotes: int = 0
    """So often in a row the same market order is answered with a new price."""
    loses_replies: bool = False
    """Orders are carried out, and their answers never arrive."""
    sessions: bool = False
    """The market closes for the weekend and for five minutes each night."""
    autotrading: bool = True
    """False: the terminal lets no program trade, as with its AutoTrading button up."""
    investor: bool = False
    """The password is one that only looks."""
    closed: bool = False
    """It is always the weekend: prices stand still, nothing can be traded."""


SCENARIOS: Final[Mapping[str, Scenario]] = MappingProxyType(
    {
        "Simulator-Demo": Scenario(),
        "Simulator-BadPassword": Scenario(accepts=RIGHT_PASSWORD),
        "Simulator-Unreachable": Scenario(reachable=False),
        "Simulator-SlowLogin": Scenario(login_ms=5_000),
        "Simulator-Hangs": Scenario(hangs=True),
        "Simulator-DropsLink": Scenario(outage=Outage(period_ms=20_000, lasts_ms=3_000)),
        "Simulator-WineBlocked": Scenario(wine_outage=Outage(period_ms=4_000, lasts_ms=2_000)),
        "Simulator-Netting": Scenario(netting=True),
        "Simulator-Requotes": Scenario(requotes=2),
        "Simulator-LosesReplies": Scenario(loses_replies=True),
        "Simulator-Sessions": Scenario(sessions=True),
        "Simulator-MarketClosed": Scenario(closed=True),
        "Simulator-AlgoOff": Scenario(autotrading=False),
        "Simulator-Investor": Scenario(investor=True),
        "Simulator-OldBuild": Scenario(refusal=(-5, "Unsupported version", "Old version")),
        "Simulator-NeedsOtp": Scenario(
            refusal=(-7, "Authorization failed: OTP required", "OTP required")
        ),
    }
)
_UNKNOWN: Final = Scenario(known=False)


def scenario_of(server: str) -> Scenario:
    """Return how `server` behaves; one that is not listed is unknown to the terminal."""
    return SCENARIOS.get(server, _UNKNOWN)
