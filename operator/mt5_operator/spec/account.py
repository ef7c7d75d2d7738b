# SPDX-License-Identifier: Apache-2.0
"""The spec of an `MT5Account`. Field texts become the CRD's descriptions: they speak to users."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, Final

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, JsonValue
from pydantic.alias_generators import to_camel

from mt5_operator.names import ACCOUNT_ID_CHARACTER
from mt5_operator.spec.cel import rule

# Source: apimachinery pkg/api/resource/quantity.go, without a sign: nothing here may be negative.
QUANTITY: Final = r"^([0-9]+(\.[0-9]*)?|\.[0-9]+)([KMGTPE]i|[numkMGTPE]|[eE][+-]?[0-9]+)?$"
DECIMAL: Final = r"^([0-9]*[1-9][0-9]*(\.[0-9]+)?|[0-9]+\.[0-9]*[1-9][0-9]*)$"
SIMULATOR_PREFIX: Final = "Simulator-"


class Platform(StrEnum):
    """Where a terminal runs."""

    LINUX = "Linux"
    WINDOWS = "Windows"


class BrokerCompatibility(StrEnum):
    """Where an account may run."""

    AUTO = "Auto"
    LINUX = "Linux"
    WINDOWS = "Windows"


class Priority(StrEnum):
    """Who gets capacity first."""

    STANDARD = "Standard"
    VIP = "VIP"


class Disruption(StrEnum):
    """May the platform move the account."""

    ALWAYS = "Always"
    ON_UPGRADE = "OnUpgrade"
    NEVER = "Never"


class Model(BaseModel):
    """Be strict: a field that nobody described is a mistake."""

    model_config = ConfigDict(
        frozen=True, extra="forbid", alias_generator=to_camel, populate_by_name=True
    )


def _text(value: object) -> object:
    # YAML reads 0.5 as a number and "0.5" as text; both mean the same volume or quantity.
    if isinstance(value, int | float) and not isinstance(value, bool):
        return repr(value)
    return value


# The pattern is named twice, because pydantic leaves it out of the schema behind a validator.
INT_OR_TEXT: Final = {"x-kubernetes-int-or-string": True, "type": None, "pattern": QUANTITY}
Quantity = Annotated[
    str, BeforeValidator(_text), Field(pattern=QUANTITY, json_schema_extra=INT_OR_TEXT)
]
Decimal = Annotated[
    str,
    BeforeValidator(_text),
    Field(
        pattern=DECIMAL,
        json_schema_extra={
            "x-kubernetes-preserve-unknown-fields": True,
            "pattern": DECIMAL,
            "minimum": 0,
            "exclusiveMinimum": True,
            "type": None,
        },
    ),
]
Symbol = Annotated[str, Field(min_length=1, max_length=32)]


class SecretKey(Model):
    """The item of a Secret, in the account's namespace, that holds the password."""

    name: Annotated[str, Field(min_length=1, max_length=253, description="Name of the Secret.")]
    key: Annotated[
        str,
        Field(
            min_length=1,
            max_length=253,
            pattern=r"^[-._a-zA-Z0-9]+$",
            description="Key of the password within the Secret.",
        ),
    ] = "password"


class Trading(Model):
    """What orders are allowed. Without this block the account is read only."""

    enabled: Annotated[
        bool, Field(description="False: reads only; orders are answered with 403.")
    ] = False
    max_volume: Annotated[
        Decimal | None, Field(description="Largest volume of one order, in lots, such as 0.5.")
    ] = None
    symbols: Annotated[
        list[Symbol] | None,
        Field(
            max_length=500,
            description="Symbols that may be traded; all when absent.",
            json_schema_extra={"x-kubernetes-list-type": "set"},
        ),
    ] = None
    orders_per_minute: Annotated[
        int | None, Field(ge=1, le=6000, description="Most orders in one minute.")
    ] = None


class Storage(Model):
    """A volume for the order journal and the terminal's data; without it they end with the pod."""

    size: Annotated[
        Quantity,
        Field(
            description="Size of the volume, such as 2Gi. It can only grow: the account then"
            " moves to a volume of that size."
        ),
    ]
    storage_class_name: Annotated[
        str | None,
        Field(min_length=1, max_length=253, description="The cluster's default class when absent."),
    ] = None


class Amounts(Model):
    """CPU and memory of the terminal container."""

    cpu: Annotated[Quantity | None, Field(description="CPU, such as 250m.")] = None
    memory: Annotated[Quantity | None, Field(description="Memory, such as 768Mi.")] = None


class Resources(Model):
    """Overrides of the terminal container's requests and limits; the rest is the platform's."""

    requests: Annotated[Amounts, Field(description="What the node must have free.")] = Amounts()
    limits: Annotated[Amounts, Field(description="What the container may use at most.")] = Amounts()


RULES: Final[list[JsonValue]] = [
    rule(
        "self.login == oldSelf.login",
        "login cannot be changed: another login is another account; delete this MT5Account and"
        " create a new one",
        field=".login",
    ),
    rule(
        "self.server == oldSelf.server",
        "server cannot be changed: delete this MT5Account and create a new one",
        field=".server",
    ),
    rule(
        "has(self.accountId) == has(oldSelf.accountId)"
        " && (!has(self.accountId) || self.accountId == oldSelf.accountId)",
        "accountId cannot be added, changed or removed: clients reach the account by it; delete"
        " this MT5Account and create a new one",
    ),
    rule(
        "has(self.storage) == has(oldSelf.storage) && (!has(self.storage)"
        " || (has(self.storage.storageClassName) == has(oldSelf.storage.storageClassName)"
        " && (!has(self.storage.storageClassName)"
        " || self.storage.storageClassName == oldSelf.storage.storageClassName)))",
        "storage cannot be added or removed, nor its storageClassName be changed: only its size can"
        " grow; a new MT5Account would begin with an empty order journal",
    ),
    rule(
        "!has(self.storage) || !has(oldSelf.storage) || self.storage.size == oldSelf.storage.size"
        # By text only: what a number may become as text has no bound, and so no price.
        " || (type(self.storage.size) == string && type(oldSelf.storage.size) == string"
        " && quantity(self.storage.size).isGreaterThan(quantity(oldSelf.storage.size)))",
        "storage.size can only grow (written as text, such as 4Gi): the order journal must fit into"
        " the new volume",
    ),
]


class AccountSpec(Model):
    """What an account should be."""

    model_config = ConfigDict(json_schema_extra={"x-kubernetes-validations": RULES})

    login: Annotated[
        int,
        Field(
            description="The MT5 login, a number from 1 to 9223372036854775807. Cannot be changed.",
            json_schema_extra={
                "format": "int64",
                "x-kubernetes-validations": [
                    rule("self >= 1", "login must be a positive number: the account's MT5 login")
                ],
            },
        ),
    ]
    server: Annotated[
        str,
        Field(
            min_length=1,
            max_length=63,
            description="The broker's server as the terminal names it. Cannot be changed."
            " `Simulator-...` runs on the simulator.",
        ),
    ]
    account_id: Annotated[
        str | None,
        Field(
            min_length=1,
            max_length=64,
            pattern=f"^{ACCOUNT_ID_CHARACTER}+$",
            description="The name that clients use, unique in the installation; the login when"
            " absent. Cannot be changed.",
        ),
    ] = None
    credentials_secret_ref: SecretKey
    broker_compatibility: Annotated[
        BrokerCompatibility, Field(description="Where this account may run.")
    ] = BrokerCompatibility.AUTO
    trading: Trading = Trading()
    symbols: Annotated[
        list[Symbol],
        Field(
            max_length=500,
            description="Market Watch at start; more can be subscribed at run time.",
            json_schema_extra={"x-kubernetes-list-type": "set"},
        ),
    ] = []
    priority: Annotated[
        Priority,
        Field(
            description="Who gets capacity first: VIP accounts wait before Standard ones, and none"
            " that runs is ended for another. Also whose turn to move comes: see docs/updates.md."
        ),
    ] = Priority.STANDARD
    suspend: Annotated[
        bool,
        Field(
            description="True: no pod. The volume, if there is one, is kept with the order journal"
            " on it, and so is the route record."
        ),
    ] = False
    disruption: Annotated[
        Disruption,
        Field(
            description="May the operator move the account while it serves, to a new template or to"
            " another platform: Always, only OnUpgrade (for a new template, a wanted platform then"
            " with it), or Never."
        ),
    ] = Disruption.ALWAYS
    storage: Storage | None = None
    resources: Resources = Resources()

    @property
    def id(self) -> str:
        """Return the account id: what clients call the account."""
        return self.account_id or str(self.login)

    @property
    def simulated(self) -> bool:
        """Tell whether the simulator stands in for terminal and broker."""
        return self.server.startswith(SIMULATOR_PREFIX)
