# SPDX-License-Identifier: Apache-2.0
"""The broker's side: clock, quotes, accounts and their books. Pure functions of seed, time and what
was traded."""
