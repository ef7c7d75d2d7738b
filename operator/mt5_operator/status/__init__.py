# SPDX-License-Identifier: Apache-2.0
"""What was seen, and what it amounts to. Pure: no clock, no cluster."""
