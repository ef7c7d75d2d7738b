# SPDX-License-Identifier: Apache-2.0
"""The streams: what a client and this pod say to each other on a WebSocket."""
