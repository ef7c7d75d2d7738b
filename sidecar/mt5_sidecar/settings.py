# SPDX-License-Identifier: Apache-2.0
"""The settings in use, whoever read them.

What they may be, and what they are by default, is `settings_model`. Its pydantic is 10 MB that a
sidecar would hold for ever after, so another process reads them (`reading`), and here are values.
"""

from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

LIVE: Final = frozenset(
    {
        "loop_silence_timeout_s",
        "retry_after_s",
        "stale_after_s",
        "symbols_cache_s",
        "key_requests_per_s",
        "key_request_burst",
        "account_requests_per_s",
        "account_request_burst",
        "key_large_reads_waiting",
        "large_reads_waiting",
        "kept_ratio",
        "kept_keys",
        "cors_origins",
        "cors_max_age_s",
        "ws_max_sockets",
        "ws_max_message_bytes",
        "ws_messages_per_s",
        "ws_message_burst",
        "ws_commands_at_once",
        "ws_max_symbols",
        "ws_max_watched_symbols",
        "selected_symbols",
        "ws_interval_ms",
        "ws_heartbeat_interval_s",
        "ws_write_buffer_bytes",
        "ws_stall_timeout_s",
        "ws_max_pending_events",
        "drain_jitter_s",
        "log_level",
    }
)
"""What is read where it is used, so that it may change while the sidecar runs."""


class BadSettings(Exception):
    """The sidecar cannot run with these; `faults` says why, and holds no value."""

    def __init__(self, faults: list[str]) -> None:
        super().__init__("; ".join(faults))
        self.faults = faults


class InUse:
    """What can be asked of settings, and done with them."""

    @property
    def files(self) -> tuple[Path, ...]:
        """Where the YAML layer is read from, the stronger one last."""
        return files_of(Path(vars(self)["settings_file"]), vars(self)["environment"])

    def differences(self, other: "InUse") -> frozenset[str]:
        """Return the names of what is not the same in `other`."""
        mine, others = vars(self), vars(other)
        return frozenset(name for name in mine if mine[name] != others[name])

    def adopt(self, later: "InUse", names: frozenset[str]) -> None:
        """Take these from `later`. Everybody holds this object, and nobody else may change it."""
        vars(self).update({name: vars(later)[name] for name in names & LIVE})


if TYPE_CHECKING:
    from mt5_sidecar.settings_model import Settings as Settings
else:

    class Settings(InUse):
        """Values that `settings_model.Settings` has checked, by the same names."""

        def __init__(self, values: dict[str, Any]) -> None:
            vars(self).update(values)


def files_of(base: Path, environment: str) -> tuple[Path, ...]:
    """Return the files that hold settings, the stronger one last."""
    if not environment:
        return (base,)
    return (base, base.with_name(f"{base.stem}.{environment}{base.suffix}"))
