# SPDX-License-Identifier: Apache-2.0
"""The status of an `MT5Account`, as its schema tells it."""

from __future__ import annotations

from typing import Annotated, Final, Literal

from pydantic import Field

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
    platform: Annotated[Platform | None, Field(description="Where the account runs.")] = None
    slot: Annotated[str | None, Field(description="The slot that is active or coming up.")] = None
    node: Annotated[str | None, Field(description="The node of the slot's pod.")] = None
    image: Annotated[str | None, Field(description="The image of the terminal container.")] = None
    healing: Healing | None = None
    conditions: Annotated[
        list[Condition] | None,
        Field(
            description="Aspects of the state; docs/reasons.md tells the reasons.",
            json_schema_extra={
                "x-kubernetes-list-type": "map",
                "x-kubernetes-list-map-keys": ["type"],
            },
        ),
    ] = None
