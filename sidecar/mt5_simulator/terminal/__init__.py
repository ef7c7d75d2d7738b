# SPDX-License-Identifier: Apache-2.0
"""The simulated terminal: a process of its own, as terminal64.exe is, so a killed worker loses
nothing."""
