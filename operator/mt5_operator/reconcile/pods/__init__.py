# SPDX-License-Identifier: Apache-2.0
"""What an account has in the cluster, and what is done to its pods."""
