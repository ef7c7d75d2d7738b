# SPDX-License-Identifier: Apache-2.0
"""The spec and status of an `MT5Broker`. Field texts become the CRD's descriptions.

The status is also what the operator remembers of a broker: it must survive a restart.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from enum import StrEnum
from typing import Annotated, Final

from pydantic import Field, JsonValue, PlainSerializer

from mt5_operator.spec.account import BrokerCompatibility, Model, Platform
from mt5_operator.spec.cel import rule
from mt5_operator.spec.status import Conditions

DURATION: Final = r"^([0-9]+h)?([0-9]+m)?([0-9]+s)?$"
_UPTIME: Final = r"^(0(\.[0-9]+)?|1(\.0+)?)$"


class Verdict(StrEnum):
    """What is known of a broker."""

    UNKNOWN = "Unknown"
    TESTING = "Testing"
    LINUX_COMPATIBLE = "LinuxCompatible"
    REQUIRES_WINDOWS = "RequiresWindows"


class Name(StrEnum):
    """The criteria of the broker-compatibility test, in the order in which they are shown."""

    CONNECTS = "Connects"
    NO_WINE_REJECTION = "NoWineRejection"
    ACCOUNT_NOT_FLAGGED = "AccountNotFlagged"
    VALID_DATA = "ValidData"
    NO_DROPS = "NoDrops"


class State(StrEnum):
    """Where a criterion stands."""

    PENDING = "Pending"
    PASSED = "Passed"
    FAILED = "Failed"


def _seconds(moment: datetime) -> str:
    return moment.strftime("%Y-%m-%dT%H:%M:%SZ")


Time = Annotated[datetime, PlainSerializer(_seconds)]
Pattern = Annotated[str, Field(min_length=1, max_length=63)]


class Trial(Model):
    """How a trial of Linux is judged; the operator's settings where nothing is said."""

    duration: Annotated[
        str | None,
        Field(
            min_length=2,
            max_length=16,
            description="How long accounts must have been watched on Linux before a verdict, such"
            " as 168h or 90m; MT5_OPERATOR_BROKER_TRIAL_S when absent.",
            json_schema_extra={
                "x-kubernetes-validations": [
                    rule(
                        f"self.matches('{DURATION}') && duration(self) >= duration('1s')",
                        "trial.duration must be hours, minutes and seconds, such as 168h, 90m or"
                        " 1h30m, and not zero",
                    )
                ]
            },
        ),
    ] = None
    min_uptime: Annotated[
        str | None,
        Field(
            min_length=1,
            max_length=10,
            description="The least share of watched time in which accounts must be connected, from"
            ' "0" to "1"; MT5_OPERATOR_BROKER_MIN_UPTIME when absent.',
            json_schema_extra={
                "x-kubernetes-validations": [
                    rule(
                        f"self.matches('{_UPTIME.replace(chr(92), chr(92) * 2)}')",
                        'trial.minUptime must be a share from "0" to "1" in quotes, such as "0.99"',
                    )
                ]
            },
        ),
    ] = None
    max_drops_per_hour: Annotated[
        int | None,
        Field(
            ge=0,
            le=3600,
            description="Most lost links in an hour of one account;"
            " MT5_OPERATOR_BROKER_MAX_DROPS_PER_HOUR when absent.",
        ),
    ] = None

    @property
    def duration_s(self) -> float | None:
        """Return the duration in seconds."""
        if self.duration is None:
            return None
        return _duration(self.duration).total_seconds()


def _duration(text: str) -> timedelta:
    found: dict[str, float] = {}
    digits = ""
    for character in text:
        if character.isdigit():
            digits += character
        else:
            found[{"h": "hours", "m": "minutes", "s": "seconds"}[character]] = float(digits)
            digits = ""
    return timedelta(**found)


_SERVERS: Final[list[JsonValue]] = [
    rule(
        "self.all(server, !server.contains('**') && !server.matches('[][?]'))",
        "servers are names in which only * stands for any characters, such as ICMarkets*-Demo*:"
        " no **, no ?, no [ ]",
    ),
    rule(
        "self.all(server, server.matches('^[^ ]') && server.matches('[^ ]$'))",
        "servers must not begin or end with a space: write them as the terminal shows them",
    ),
]


class BrokerSpec(Model):
    """Which servers are meant, and how the platform of their accounts is found."""

    servers: Annotated[
        list[Pattern],
        Field(
            min_length=1,
            max_length=64,
            description="Names of the broker's servers, in which * stands for any characters and"
            " capitals do not matter. Of several brokers that match, the most specific pattern"
            " counts, then the older broker.",
            json_schema_extra={
                "x-kubernetes-list-type": "set",
                "x-kubernetes-validations": _SERVERS,
            },
        ),
    ]
    platform: Annotated[
        BrokerCompatibility,
        Field(
            description="Linux or Windows decides by hand where accounts run whose"
            " brokerCompatibility is Auto; Auto lets the verdict decide."
        ),
    ] = BrokerCompatibility.AUTO
    trial: Trial = Trial()


class Criterion(Model):
    """One criterion of the broker-compatibility test."""

    name: Name
    state: State = State.PENDING
    evidence: Annotated[str, Field(max_length=1024, description="What it rests on.")] = ""
    since: Annotated[Time | None, Field(description="Since when the state is this one.")] = None


class Window(Model):
    """What accounts of the broker did on Linux since windowStart, all added up."""

    watched_seconds: Annotated[
        float, Field(description="Of the account that was watched longest.")
    ] = 0
    observed_seconds: Annotated[float, Field(description="Of all accounts together.")] = 0
    connected_seconds: Annotated[float, Field(description="Connected part of that.")] = 0
    logins: int = 0
    drops: int = 0


class BrokerStatus(Model):
    """What is known of a broker, and what it rests on."""

    observed_generation: Annotated[int | None, Field(json_schema_extra={"format": "int64"})] = None
    verdict: Annotated[Verdict, Field(description="What is known.")] = Verdict.UNKNOWN
    since: Annotated[Time | None, Field(description="Since when the verdict is this one.")] = None
    decided_at: Annotated[
        Time | None, Field(description="When it was last decided for Linux or Windows.")
    ] = None
    platform: Annotated[
        Platform, Field(description="Where accounts with brokerCompatibility Auto start.")
    ] = Platform.LINUX
    message: Annotated[str, Field(max_length=1024, description="The verdict's reasons.")] = ""
    confidence: Annotated[str, Field(max_length=256, description="How sure we are.")] = ""
    observed_accounts: Annotated[
        int, Field(description="Accounts whose sidecars were heard about their broker.")
    ] = 0
    window_start: Annotated[
        Time | None, Field(description="Begin of the trial that runs, or ran last.")
    ] = None
    window: Window = Window()
    looked_at: Annotated[
        Time | None, Field(description="Until when the window is counted here.")
    ] = None
    criteria: Annotated[
        list[Criterion],
        Field(
            description="The five criteria.",
            json_schema_extra={
                "x-kubernetes-list-type": "map",
                "x-kubernetes-list-map-keys": ["name"],
            },
        ),
    ] = Field(default_factory=list)
    healthy_on_linux: Annotated[
        Time | None, Field(description="When an account was last steadily connected on Linux.")
    ] = None
    healthy_on_windows: Annotated[
        Time | None, Field(description="When an account was last steadily connected on Windows.")
    ] = None
    windows_accepted_at: Annotated[
        Time | None,
        Field(description="When Windows was first accepted after Linux was not: the proof."),
    ] = None
    moved_back_at: Annotated[
        Time | None,
        Field(description="When Windows had failed alike: no further move by itself."),
    ] = None
    reprobe: Annotated[
        str, Field(max_length=256, description="The annotation mt5bridge.io/reprobe acted on.")
    ] = ""
    reviewer: Annotated[
        str, Field(max_length=64, description="The installation that reviews it: of several, one.")
    ] = ""
    conditions: Conditions = None
