# SPDX-License-Identifier: Apache-2.0
"""What is known of brokers, and where their accounts may run. Pure: no clock, no cluster."""
