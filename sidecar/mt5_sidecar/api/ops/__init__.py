# SPDX-License-Identifier: Apache-2.0
"""Port 8081: how the pod is, for kubelet and Prometheus; which slot trades, for the operator."""
