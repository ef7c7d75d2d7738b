# SPDX-License-Identifier: Apache-2.0
"""What an account is, in values: no I/O, no clock, no framework."""
