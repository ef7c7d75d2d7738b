# SPDX-License-Identifier: Apache-2.0
"""Every knob of the sidecar: defaults here, YAML files over them, the environment over both.

`docs/settings-sidecar.md` lists them with their consequences, and a test compares. Only the process
that reads settings imports this: `python -m mt5_sidecar.settings_model`, for `reading`.
"""

import json
import sys
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import BeforeValidator, Field, ValidationError, model_validator
from pydantic_settings import (
    BaseSettings,
    NoDecode,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
    YamlConfigSettingsSource,
)
from pydantic_settings.exceptions import SettingsError

from mt5_sidecar.settings import BadSettings, InUse, files_of

Seconds = Annotated[float, Field(gt=0)]
Count = Annotated[int, Field(ge=1)]
Port = Annotated[int, Field(ge=0, le=65535)]
Platform = Literal["Linux", "Windows"]
Slot = Literal["a", "b"]
# Scheme and host as browsers send them, without a path.
Origin = Annotated[str, Field(pattern=r"^(\*|https?://[A-Za-z0-9.\-]+(:\d+)?)$")]


def _words(value: Any) -> Any:
    # In the environment a list is written with commas.
    return value.replace(",", " ").split() if isinstance(value, str) else value


class Settings(BaseSettings, InUse):
    """`<name>` in YAML, `MT5_SIDECAR_<NAME>` in the environment, which counts."""

    model_config = SettingsConfigDict(env_prefix="MT5_SIDECAR_", frozen=True, extra="forbid")

    # Where more of them are: this file, and mt5_bridge.<environment>.yaml beside it over it.
    settings_file: Path = Path("/run/mt5/access/mt5_bridge.yaml")
    environment: Annotated[str, Field(pattern=r"^[a-z0-9-]{0,32}$")] = ""

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
    # Less would have the kubelet end sidecars of a machine that is merely crowded.
    loop_silence_timeout_s: Annotated[float, Field(ge=5)] = 10.0

    # The agent.
    agent_hello_timeout_s: Seconds = 10.0
    agent_silence_timeout_s: Seconds = 15.0
    agent_requests_in_flight: Count = 64
    agent_reads_in_flight: Count = 8
    call_timeout_s: Seconds = 10.0
    selected_symbols: Count = 500
    first_tick_timeout_s: Seconds = 2.0
    stale_after_s: Seconds = 12.0
    # No clock is further from UTC; a larger one would look for orders where none can be.
    broker_utc_offset_s: Annotated[int, Field(ge=-50_400, le=50_400)] | None = None

    # Evidence (docs/internals.md).
    evidence_window_s: Seconds = 86_400.0
    evidence_steady_s: Seconds = 300.0
    evidence_save_interval_s: Seconds = 60.0
    evidence_tick_interval_s: Seconds = 10.0

    # Orders (docs/orders.md).
    journal_dir: Path = Path("/var/lib/mt5/journal")
    # Of a journal that is taken over: a key takes some 1.1 kB of it (docs/orders.md).
    journal_limit_bytes: Annotated[int, Field(ge=1024 * 1024)] = 256 * 1024 * 1024
    journal_retry_interval_s: Annotated[float, Field(ge=0.01)] = 5.0
    order_self_activate: bool = True
    order_settle_s: Seconds = 15.0
    order_retention_days: Annotated[float, Field(ge=1)] = 30.0
    order_newborn_s: Annotated[float, Field(ge=0)] = 86_400.0
    order_compare_patience_s: Seconds = 60.0
    order_reconcile_interval_s: Seconds = 1.0
    order_plan_max_age_s: Seconds = 1.0
    order_change_shown_timeout_s: Seconds = 2.0
    order_max_waiting: Count = 64
    order_deviation_points: Annotated[int, Field(ge=0)] = 10

    # Tokens: one of the three sources, or none and no tokens.
    jwt_issuer: str = ""
    jwt_audience: str = ""
    jwt_jwks_url: Annotated[str, Field(pattern=r"^(https?://.+)?$")] = ""
    jwt_jwks_file: Path | None = None
    jwt_secret_file: Path | None = None
    jwt_jwks_cache_s: Seconds = 300.0
    # Strangers choose key ids: without a rest, each of them would have the issuer asked.
    jwt_jwks_retry_interval_s: Annotated[float, Field(ge=1, le=3600)] = 10.0
    jwt_jwks_timeout_s: Annotated[float, Field(gt=0, le=60)] = 5.0
    jwt_jwks_limit_bytes: Annotated[int, Field(ge=1024, le=16 * 1024 * 1024)] = 256 * 1024
    # A token lives on for so long after its end.
    jwt_leeway_s: Annotated[float, Field(ge=0, le=300)] = 5.0
    jwt_accounts_claim: str = "mt5_accounts"
    jwt_scopes_claim: str = "mt5_scopes"

    # HTTP.
    body_limit_bytes: Count = 64 * 1024
    retry_after_s: Annotated[float, Field(ge=1, le=3600)] = 2.0
    key_requests_per_s: Annotated[float, Field(ge=0)] = 100.0
    key_request_burst: Count = 200
    account_requests_per_s: Annotated[float, Field(ge=0)] = 500.0
    account_request_burst: Count = 1000
    key_large_reads_waiting: Count = 8
    large_reads_waiting: Count = 32
    # Thousands of symbols keep the terminal busy for a moment, and an order would wait behind them.
    symbols_cache_s: Annotated[float, Field(ge=1)] = 60.0
    # aiohttp's own hour would hold what strangers leave half said.
    connection_idle_timeout_s: Seconds = 120.0
    header_limit_bytes: Annotated[int, Field(ge=1024)] = 8190
    kept_ratio: Annotated[float, Field(ge=0, lt=1)] = 0.2
    kept_keys: Count = 5
    cors_origins: Annotated[tuple[Origin, ...], NoDecode, BeforeValidator(_words)] = ()
    cors_max_age_s: Annotated[float, Field(ge=0)] = 600.0

    # WebSocket.
    ws_max_sockets: Count = 125
    ws_max_message_bytes: Count = 64 * 1024
    ws_messages_per_s: Count = 20
    ws_message_burst: Count = 40
    ws_commands_at_once: Count = 16
    ws_max_symbols: Count = 200
    ws_max_watched_symbols: Count = 300
    ws_interval_ms: Annotated[int, Field(ge=0, le=60_000)] = 500
    ws_heartbeat_interval_s: Seconds = 15.0
    ws_ping_interval_s: Seconds = 30.0
    ws_write_buffer_bytes: Count = 256 * 1024
    ws_stall_timeout_s: Seconds = 10.0
    ws_close_grace_s: Seconds = 10.0
    ws_max_pending_events: Count = 256
    ws_ring_events: Count = 1024

    # What streams ask of the terminal behind their clients' backs: trades wait behind it.
    deals_interval_s: Annotated[float, Field(ge=0.1)] = 0.5
    deals_overlap_s: Annotated[int, Field(ge=60)] = 600
    unknown_symbol_retry_s: Annotated[float, Field(ge=1)] = 60.0

    # The end.
    drain_jitter_s: Annotated[float, Field(ge=0)] = 2.0
    stop_timeout_s: Seconds = 20.0
    request_stop_timeout_s: Seconds = 5.0

    # Traces.
    otlp_endpoint: Annotated[str, Field(pattern=r"^(https?://.+)?$")] = ""
    otlp_timeout_s: Annotated[float, Field(ge=1)] = 5.0
    otlp_flush_timeout_s: Annotated[float, Field(ge=0)] = 3.0
    trace_sample_ratio: Annotated[float, Field(ge=0, le=1)] = 1.0

    log_level: Literal["debug", "info", "warning", "error"] = "info"

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Return the layers, the strongest first."""
        del dotenv_settings, file_secret_settings
        given = env_settings() | init_settings()
        files = files_of(
            Path(given.get("settings_file") or cls.model_fields["settings_file"].default),
            str(given.get("environment", "")),
        )
        yaml = YamlConfigSettingsSource(settings_cls, yaml_file=list(files))
        return init_settings, env_settings, yaml

    @model_validator(mode="after")
    def _tokens_are_for_us(self) -> Self:
        sources = (self.jwt_jwks_url, self.jwt_jwks_file, self.jwt_secret_file)
        named = sum(bool(source) for source in sources)
        if named > 1:
            raise ValueError("jwt: name one of jwks_url, jwks_file and secret_file")
        if named and not (self.jwt_issuer and self.jwt_audience):
            raise ValueError("jwt: issuer and audience are needed, or any token would do")
        return self


def load(**given: Any) -> Settings:
    """Return the settings that files and environment amount to now; what is `given` is above all.

    Raises:
        BadSettings: They cannot be used.
    """
    try:
        return Settings(**given)
    except ValidationError as error:
        faults = [f"{'.'.join(map(str, e['loc']))}: {e['msg']}" for e in error.errors()]
        raise BadSettings(faults) from error
    except (SettingsError, OSError, ValueError) as error:
        raise BadSettings([str(error)]) from error
    except Exception as error:
        # PyYAML is loaded only where there is a file, and so are its errors.
        if type(error).__module__.partition(".")[0] != "yaml":
            raise
        raise BadSettings([f"not YAML: {error}"]) from error


def main() -> int:
    """Print the settings of this environment, or what is wrong with them, as one line of JSON."""
    try:
        told: dict[str, Any] = {"values": load().model_dump(mode="json")}
    except BadSettings as error:
        told = {"faults": error.faults}
    json.dump(told, sys.stdout)
    return 0


if __name__ == "__main__":
    sys.exit(main())
