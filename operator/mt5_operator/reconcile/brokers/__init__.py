# SPDX-License-Identifier: Apache-2.0
"""What is known of brokers, and where an account should therefore run."""
