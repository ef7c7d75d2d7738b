# SPDX-License-Identifier: Apache-2.0
"""Everything that can be set, read once from `MT5_OPERATOR_*`.

`docs/settings-operator.md` lists them; a test compares.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, SecretStr, field_validator, model_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

Seconds = Annotated[float, Field(gt=0)]
Quantities = dict[str, str]
Tolerations = list[dict[str, Any]]
Count = Annotated[int, Field(ge=0)]
TimeOfDay = Annotated[str, Field(pattern=r"^([01][0-9]|2[0-3]):[0-5][0-9]$")]
Day = Literal["Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun"]


class WarmWindow(BaseModel):
    """More warm places at certain times of day, UTC; a window may go over midnight."""

    model_config = ConfigDict(frozen=True, extra="forbid", populate_by_name=True)

    days: list[Day] = ["Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun"]
    start: Annotated[TimeOfDay, Field(alias="from")]
    end: Annotated[TimeOfDay, Field(alias="to")]
    linux: Count = 0
    windows: Count = 0


class Settings(BaseSettings):
    """The operator's settings; each name ends in its unit."""

    model_config = SettingsConfigDict(
        env_prefix="MT5_OPERATOR_",
        frozen=True,
        extra="ignore",
        # Redis' password may be among them.
        hide_input_in_errors=True,
    )

    # Who and where.
    namespace: str = "default"
    pod_name: str = "mt5-operator"
    namespaces: list[str] = []
    log_level: str = "INFO"
    ops_host: str = "0.0.0.0"  # noqa: S104 - the kubelet and Prometheus come from outside the pod
    ops_port: Annotated[int, Field(ge=0, le=65535)] = 8080

    # The pods of accounts.
    sidecar_image: str = "mt5-bridge/sidecar:dev"
    sidecar_image_windows: str = "mt5-bridge/sidecar-windows:dev"
    terminal_image_linux: str = "mt5-bridge/wine:dev"
    terminal_image_windows: str = "mt5-bridge/windows:dev"
    image_pull_policy: str = "IfNotPresent"
    image_pull_secrets: list[str] = []
    agent_command: list[str] = ["python", "-m", "mt5_agent"]
    sidecar_env: dict[str, str] = {}
    sidecar_settings: dict[str, Any] = {}
    agent_env: dict[str, str] = {}
    sidecar_requests: Quantities = {"cpu": "50m", "memory": "64Mi"}
    sidecar_limits: Quantities = {"memory": "256Mi"}
    simulator_in_terminal_image: bool = False
    simulator_requests: Quantities = {"cpu": "20m", "memory": "64Mi"}
    simulator_limits: Quantities = {"memory": "256Mi"}
    # With the sidecar's, 1.2 GiB for an account on Linux and 1.8 GiB on Windows (docs/adr/022).
    linux_requests: Quantities = {"cpu": "250m", "memory": "768Mi"}
    linux_limits: Quantities = {"cpu": "500m", "memory": "972Mi"}
    linux_node_selector: dict[str, str] = {}
    linux_tolerations: Tolerations = []
    windows_requests: Quantities = {"cpu": "250m", "memory": "1229Mi"}
    windows_limits: Quantities = {"cpu": "500m", "memory": "1587Mi"}
    windows_node_selector: dict[str, str] = {}
    windows_tolerations: Tolerations = [
        {"key": "os", "operator": "Equal", "value": "windows", "effect": "NoSchedule"}
    ]
    termination_grace_s: Annotated[int, Field(ge=1)] = 180
    simulator_termination_grace_s: Annotated[int, Field(ge=1)] = 30
    sidecar_start_s: Annotated[int, Field(ge=10)] = 60
    sidecar_hung_s: Annotated[int, Field(ge=10)] = 60
    sidecar_probe_timeout_s: Annotated[int, Field(ge=1)] = 2
    stuck_pod_s: Seconds = 30
    vanished_pod_wait_s: Seconds = 60
    agent_patience_s: Seconds = 60

    # Updates: moves from slot to slot.
    move_max: Count = 3
    move_pause_s: Annotated[float, Field(ge=0)] = 10
    move_gather_s: Annotated[float, Field(ge=0)] = 2
    move_failure_pause_s: Annotated[float, Field(ge=0)] = 600
    move_failure_namespaces: Annotated[int, Field(ge=1)] = 2
    move_proven_s: Annotated[float, Field(ge=0)] = 300
    move_vip: Literal["First", "Last"] = "Last"
    move_min_ready_s: Annotated[float, Field(ge=0)] = 30
    move_deadline_s: Seconds = 1200
    move_handover_s: Seconds = 30
    # While it is waited for, orders are refused.
    move_look_s: Annotated[float, Field(gt=0, le=5)] = 1
    move_drain_s: Annotated[float, Field(ge=0)] = 5
    move_backoff_min_s: Seconds = 300
    move_backoff_max_s: Seconds = 21600
    disruption_budget: bool = True
    resize_in_place: bool = True
    resize_deadline_s: Seconds = 60
    resize_silent_node_s: Seconds = 3600
    resize_trust_s: Annotated[float, Field(ge=0)] = 3600

    # Capacity.
    linux_accounts_per_node: Count = 38
    windows_accounts_per_node: Count = 24
    priority_class_standard: str = ""
    priority_class_vip: str = ""
    priority_class_placeholder: str = ""
    warm_linux: Count = 2
    warm_windows: Count = 2
    warm_percent: Annotated[float, Field(ge=0, le=100)] = 0
    warm_max: Count = 50
    warm_schedule: list[WarmWindow] = []
    placeholder_image_linux: str = ""
    placeholder_image_windows: str = ""
    placeholder_command_linux: list[str] = ["sleep", "infinity"]
    placeholder_command_windows: list[str] = ["cmd", "/c", "ping -t 127.0.0.1 >NUL"]
    placeholder_owner: str = ""
    capacity_look_s: Seconds = 5
    admission_window: Annotated[int, Field(ge=1)] = 10
    admission_look_s: Seconds = 1

    # Tenancy.
    accounts_per_namespace: Count = 0
    accounts_per_namespace_of: dict[str, Count] = {}
    id_hold_s: Annotated[float, Field(ge=0)] = 86_400

    # Healing.
    heal_ladder: list[Literal["NewPod", "CleanProfile", "OtherNode"]] = [
        "NewPod",
        "NewPod",
        "CleanProfile",
        "OtherNode",
    ]
    heal_after_s: Seconds = 600
    heal_after_max_s: Seconds = 7200
    heal_jitter: Annotated[float, Field(ge=0, le=1)] = 0.25
    heal_forget_s: Seconds = 3600
    heal_grace_s: Seconds = 120
    heal_fleet_per_minute: Annotated[int, Field(ge=1)] = 6
    heal_outage_accounts: Annotated[int, Field(ge=2)] = 3
    heal_outage_share: Annotated[float, Field(gt=0, le=1)] = 0.5

    # The loop.
    workers: Annotated[int, Field(ge=1)] = 16
    resync_s: Seconds = 600
    backoff_min_s: Seconds = 0.2
    backoff_max_s: Seconds = 60
    write_tries: Annotated[int, Field(ge=1)] = 3
    write_busy_s: Annotated[float, Field(ge=0)] = 60
    event_quiet_s: Annotated[float, Field(ge=0)] = 600
    secret_recheck_s: Annotated[float, Field(gt=0, le=5)] = 3
    secret_reread_s: Seconds = 600
    secret_reread_retry_s: Seconds = 30
    keys_poll_s: Seconds = 3
    api_timeout_s: Seconds = 8
    api_connections: Annotated[int, Field(ge=1)] = 32
    list_page: Annotated[int, Field(ge=10)] = 200
    watch_audit_s: Seconds = 60
    watch_audit_pause_s: Seconds = 1
    # Longer than a moment, and nobody would lead for as long after a leader died.
    watch_catch_up_s: Annotated[float, Field(gt=0, le=5)] = 0.2
    watch_inactivity_s: Seconds = 90
    watch_retry_s: Seconds = 0.5
    watch_retry_max_s: Seconds = 10
    shutdown_timeout_s: Seconds = 5

    # Leading.
    shard: Count = 0
    shards: Annotated[int, Field(ge=1, le=16)] = 1
    lease_name: str = "mt5-bridge-operator"
    lease_duration_s: Annotated[int, Field(ge=2)] = 15
    lease_renew_deadline_s: Annotated[float, Field(ge=1.5)] = 10
    lease_retry_s: Annotated[float, Field(ge=1)] = 2

    # Brokers: where accounts may run (docs/broker-compatibility.md).
    broker_dry_run: bool = False
    broker_trial_s: Seconds = 604_800
    broker_min_uptime: Annotated[float, Field(ge=0, le=1)] = 0.99
    broker_max_drops_per_hour: Annotated[float, Field(ge=0)] = 5
    broker_judged_after_s: Seconds = 3600
    broker_kicks: Annotated[int, Field(ge=2)] = 5
    broker_kicks_window_s: Seconds = 600
    broker_kicked_uptime_max: Annotated[float, Field(ge=0, le=1)] = 0.75
    broker_failed_tries_max: Annotated[float, Field(ge=0)] = 2
    broker_never_synchronised_s: Seconds = 300
    broker_suspect_s: Seconds = 1800
    broker_fresh_starts: Annotated[int, Field(ge=1)] = 3
    broker_fresh_start_pause_s: Seconds = 300
    broker_healthy_s: Seconds = 21_600
    broker_review_s: Seconds = 10
    broker_status_s: Seconds = 600
    brokers_max: Annotated[int, Field(ge=1)] = 1000
    brokers_per_namespace_max: Annotated[int, Field(ge=1)] = 200

    # Sidecars.
    sidecar_timeout_s: Seconds = 2
    sidecar_order_timeout_s: Seconds = 60
    sidecar_answer_max_bytes: Annotated[int, Field(ge=4096)] = 262_144
    sidecar_poll_s: Seconds = 2
    sidecar_poll_max_s: Seconds = 5
    sidecar_poll_connected_s: Seconds = 60
    sidecar_misses: Annotated[int, Field(ge=1)] = 3
    sidecar_pollers: Annotated[int, Field(ge=1)] = 64
    sidecar_address_override: str = ""

    # Routes.
    redis_url: SecretStr | None = None
    redis_password_file: Path | None = None
    redis_ca_file: Path | None = None
    redis_timeout_s: Seconds = 1
    redis_check_s: Seconds = 2
    route_compare_s: Seconds = 30
    route_shards: Annotated[int, Field(ge=1, le=64)] = 4
    route_flush_s: Annotated[float, Field(ge=0)] = 1
    route_retry_s: Seconds = 1
    router_selector: str = ""
    route_hurry_s: Seconds = 3

    @field_validator("redis_url")
    @classmethod
    def _is_of_one_redis(cls, url: SecretStr | None) -> SecretStr | None:
        if url and not url.get_secret_value().startswith(("redis://", "rediss://", "unix://")):
            raise ValueError(
                "redis://, rediss:// or unix:// (Sentinel is not spoken: name an address that leads"
                " to the primary)"
            )
        return url

    @model_validator(mode="after")
    def _is_one_of_the_shards(self) -> Self:
        if self.shard >= self.shards:
            raise ValueError(f"shard {self.shard} of {self.shards}: shards are counted from 0")
        if self.shards > 1 and not self.broker_dry_run:
            # One shard judges brokers, and hears its own accounts: what it finds must move nobody.
            raise ValueError(
                "several shards only report on brokers: set MT5_OPERATOR_BROKER_DRY_RUN=true"
            )
        return self
