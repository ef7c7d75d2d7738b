# SPDX-License-Identifier: Apache-2.0
"""How much a key, and all keys together, may have of one account; knows nothing of HTTP."""
