# SPDX-License-Identifier: Apache-2.0
"""The route table: account id -> address, kept equal in Redis and in ConfigMaps."""
