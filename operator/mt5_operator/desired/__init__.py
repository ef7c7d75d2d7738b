# SPDX-License-Identifier: Apache-2.0
"""What should exist, as values: pure functions from an account and settings to manifests."""
