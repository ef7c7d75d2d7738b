# SPDX-License-Identifier: Apache-2.0
"""The status of an `MT5Account`, as its schema tells it."""

from __future__ import annotations

from typing import Annotated, Final, Literal

from pydantic import ConfigDict, Field
from pydantic.alias_generators import to_camel

from mt5_operator.spec.account import Model, Platform

# Source: apimachinery pkg/apis/meta/v1/types.go, Condition.
_TYPE: Final = (
    r"^([a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*/)?"
    r"(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])$"
)


class Condition(Model):
    """One aspect of the account's state (metav1.Condition)."""

    type: Annotated[str, Field(max_length=316, pattern=_TYPE)]
    status: Literal["True", "False", "Unknown"]
    observed_generation: Annotated[int, Field(ge=0, json_schema_extra={"format": "int64"})] = 0
    last_transition_time: Annotated[str, Field(json_schema_extra={"format": "date-time"})]
    reason: Annotated[
        str,
        Field(min_length=1, max_length=1024, pattern=r"^[A-Za-z]([A-Za-z0-9_,:]*[A-Za-z0-9_])?$"),
    ]
    message: Annotated[str, Field(max_length=32768)]


Conditions = Annotated[
    list[Condition] | None,
    Field(
        description="Aspects of the state; docs/reasons.md tells the reasons.",
        json_schema_extra={
            "x-kubernetes-list-type": "map",
            "x-kubernetes-list-map-keys": ["type"],
        },
    ),
]
# Of a move that failed.
MESSAGE_LENGTH: Final = 1024
_TOLERANT: Final = ConfigDict(
    # A later version's status must stay readable after a step back.
    frozen=True,
    extra="ignore",
    alias_generator=to_camel,
    populate_by_name=True,
)
SLOT: Final = r"^[ab]$"
_TIME: Final = {"format": "date-time"}


class Trader(Model):
    """The one pod that may trade, written before it is told so."""

    model_config = _TOLERANT

    slot: Annotated[str, Field(pattern=SLOT, description="Its slot.")]
    epoch: Annotated[
        int,
        Field(
            ge=1,
            description="Grows with every pod that may trade.",
            json_schema_extra={"format": "int64"},
        ),
    ]
    pod: Annotated[str, Field(description="Its uid.")]
    node: Annotated[
        str, Field(description="Its node, which must not be lost when another takes over.")
    ]


class Move(Model):
    """A move to the other slot; docs/updates.md draws it."""

    model_config = _TOLERANT

    to: Annotated[str, Field(pattern=SLOT, description="The new slot.")]
    goal: Annotated[str, Field(description="What it is for: the new template, restart or node.")]
    template: Annotated[str, Field(description="The template that the new pod must have.")]
    reason: Annotated[str, Field(description="Why the account moves.")]
    phase: Annotated[
        Literal["Starting", "HandingOver", "Draining", "Returning"],
        Field(description="How far it is."),
    ]
    since: Annotated[
        str, Field(description="Since when it is in this phase.", json_schema_extra=_TIME)
    ]
    started: Annotated[str, Field(description="When it began.", json_schema_extra=_TIME)]


class LastMove(Model):
    """How the last move ended."""

    model_config = _TOLERANT

    goal: Annotated[str, Field(description="What it was for.")]
    outcome: Annotated[Literal["Done", "Failed"], Field(description="How it ended.")]
    at: Annotated[str, Field(description="When it ended.", json_schema_extra=_TIME)]
    failures: Annotated[
        int, Field(ge=0, description="How often moves for this goal failed in a row.")
    ] = 0
    message: Annotated[str, Field(max_length=MESSAGE_LENGTH, description="Why it failed.")] = ""
    unplaced: Annotated[
        bool | None, Field(description="True: it failed because no node took the new pod.")
    ] = None


class Healing(Model):
    """What was tried to bring the account back; kept here, outside the pod that it replaces."""

    taken: Annotated[int, Field(ge=0, description="Rungs of the ladder that are used up.")] = 0
    step: Annotated[str | None, Field(description="The last step.")] = None
    at: Annotated[
        str | None,
        Field(description="When it was taken.", json_schema_extra={"format": "date-time"}),
    ] = None
    generation: Annotated[
        int,
        Field(
            description="Generation of the spec that was tried; another one starts anew.",
            json_schema_extra={"format": "int64"},
        ),
    ] = 0
    profile: Annotated[
        int, Field(ge=0, description="How often the terminal's profile began empty.")
    ] = 0
    avoid: Annotated[
        list[str] | None,
        Field(
            max_length=8,
            description="Nodes that the pod keeps off if it can.",
            json_schema_extra={"x-kubernetes-list-type": "atomic"},
        ),
    ] = None


class AccountStatus(Model):
    """What was seen. Never a password, balance, equity or price."""

    observed_generation: Annotated[
        int | None,
        Field(
            description="Generation of the spec that this status is about.",
            json_schema_extra={"format": "int64"},
        ),
    ] = None
    account_id: Annotated[str | None, Field(description="The name that clients use.")] = None
    id_held: Annotated[
        bool | None,
        Field(description="True: of all accounts that ask for this name, this one has it."),
    ] = None
    platform: Annotated[Platform | None, Field(description="Where the account runs.")] = None
    slot: Annotated[str | None, Field(description="The slot that clients are routed to.")] = None
    node: Annotated[str | None, Field(description="The node of the slot's pod.")] = None
    image: Annotated[str | None, Field(description="The image of the terminal container.")] = None
    trader: Trader | None = None
    move: Move | None = None
    last_move: LastMove | None = None
    healing: Healing | None = None
    conditions: Conditions = None
