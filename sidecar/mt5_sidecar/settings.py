# SPDX-License-Identifier: Apache-2.0
"""Every knob of the sidecar; what may change without a new pod is a file instead.

`docs/settings-sidecar.md` lists them with their consequences, and a test compares.
"""

from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import Field, model_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

Seconds = Annotated[float, Field(gt=0)]
Count = Annotated[int, Field(ge=1)]
Port = Annotated[int, Field(ge=0, le=65535)]
Platform = Literal["Linux", "Windows"]
Slot = Literal["a", "b"]


class Settings(BaseSettings):
    """Environment `MT5_SIDECAR_<NAME>`; fixed for the life of the pod."""

    model_config = SettingsConfigDict(env_prefix="MT5_SIDECAR_", frozen=True, extra="forbid")

    # Who this pod is.
    account_id: Annotated[str, Field(pattern=r"^[A-Za-z0-9_-]{1,64}$")]
    login: Annotated[int, Field(ge=1, lt=2**63)]
    server: Annotated[str, Field(min_length=1, max_length=63)]
    platform: Platform = "Linux"
    slot: Slot = "a"
    namespace: str = ""
    account_name: str = ""
    pod_name: str = ""
    pod_uid: str = ""

    # Where it listens. Port 0 takes a free one (tests).
    api_host: str = "0.0.0.0"  # noqa: S104  the router comes from another pod
    api_port: Port = 8080
    ops_host: str = "0.0.0.0"  # noqa: S104  so do kubelet, Prometheus and the operator
    ops_port: Port = 8081
    agent_port: Port = 8082

    # Files (docs/internals.md).
    agent_token_file: Path = Path("/run/mt5/agent/token")
    credentials_file: Path = Path("/run/mt5/credentials/password")
    account_file: Path = Path("/run/mt5/account/account.json")
    keys_file: Path = Path("/run/mt5/access/keys.json")
    operator_jwks_file: Path = Path("/run/mt5/access/operator.jwks.json")
    file_poll_interval_s: Seconds = 1.0

    # The agent.
    agent_hello_timeout_s: Seconds = 10.0
    agent_silence_timeout_s: Seconds = 15.0
    agent_requests_in_flight: Count = 64
    call_timeout_s: Seconds = 10.0
    stale_after_s: Seconds = 12.0
    broker_utc_offset_s: int | None = None

    # Evidence (docs/internals.md).
    evidence_window_s: Seconds = 86_400.0
    evidence_steady_s: Seconds = 300.0
    evidence_save_interval_s: Seconds = 60.0
    evidence_tick_interval_s: Seconds = 10.0

    # Orders (docs/orders.md).
    journal_dir: Path = Path("/var/lib/mt5/journal")
    order_self_activate: bool = True
    order_settle_s: Seconds = 15.0
    order_retention_days: Annotated[float, Field(ge=1)] = 30.0
    order_newborn_s: Annotated[float, Field(ge=0)] = 86_400.0
    order_reconcile_interval_s: Seconds = 1.0
    order_max_waiting: Count = 64
    order_deviation_points: Annotated[int, Field(ge=0)] = 10

    # Tokens: one of the three sources, or none and no tokens.
    jwt_issuer: str = ""
    jwt_audience: str = ""
    jwt_jwks_url: Annotated[str, Field(pattern=r"^(https?://.+)?$")] = ""
    jwt_jwks_file: Path | None = None
    jwt_secret_file: Path | None = None
    jwt_jwks_cache_s: Seconds = 300.0
    jwt_accounts_claim: str = "mt5_accounts"
    jwt_scopes_claim: str = "mt5_scopes"

    # HTTP.
    body_limit_bytes: Count = 64 * 1024
    key_requests_per_s: Annotated[float, Field(ge=0)] = 100.0
    key_request_burst: Count = 200
    account_requests_per_s: Annotated[float, Field(ge=0)] = 500.0
    account_request_burst: Count = 1000

    # WebSocket.
    ws_max_sockets: Count = 100
    ws_max_message_bytes: Count = 64 * 1024
    ws_messages_per_s: Count = 20
    ws_message_burst: Count = 40
    ws_max_symbols: Count = 200
    ws_interval_ms: Annotated[int, Field(ge=0, le=60_000)] = 500
    ws_heartbeat_interval_s: Seconds = 15.0
    ws_ping_interval_s: Seconds = 30.0
    ws_write_buffer_bytes: Count = 256 * 1024
    ws_stall_timeout_s: Seconds = 10.0
    ws_close_grace_s: Seconds = 10.0
    ws_max_pending_events: Count = 256
    ws_ring_events: Count = 1024

    # The end.
    drain_jitter_s: Annotated[float, Field(ge=0)] = 2.0
    stop_timeout_s: Seconds = 20.0

    log_level: Literal["debug", "info", "warning", "error"] = "info"

    @model_validator(mode="after")
    def _tokens_are_for_us(self) -> Self:
        sources = (self.jwt_jwks_url, self.jwt_jwks_file, self.jwt_secret_file)
        named = sum(bool(source) for source in sources)
        if named > 1:
            raise ValueError("jwt: name one of jwks_url, jwks_file and secret_file")
        if named and not (self.jwt_issuer and self.jwt_audience):
            raise ValueError("jwt: issuer and audience are needed, or any token would do")
        return self
