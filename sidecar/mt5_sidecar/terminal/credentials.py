# SPDX-License-Identifier: Apache-2.0
"""The MT5 password: read from the mounted Secret, and from nowhere else."""

from mt5_sidecar.domain.secret import Secret
from mt5_sidecar.logs import logger


def parse_password(content: bytes | None) -> Secret | None:
    """Return the password, None where the file is absent, empty or not text.

    One line end at its end belongs to the editor that wrote the file, not to the password.
    """
    if content is None:
        return None
    try:
        text = content.decode()
    except UnicodeDecodeError:
        # Without the error: its text quotes the bytes.
        logger.error("password_is_not_utf8")
        return None
    return Secret(text.removesuffix("\n").removesuffix("\r")) or None
