# SPDX-License-Identifier: Apache-2.0
"""One account, from its claim of an id to its end: what is asked for, brought about and told."""
