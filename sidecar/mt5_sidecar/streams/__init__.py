# SPDX-License-Identifier: Apache-2.0
"""What the account is now, what changed since, and who wants to hear of it.

Knows nothing of HTTP: a listener is anything with `send`, `pending_bytes` and `close`.
"""
