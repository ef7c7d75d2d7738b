# SPDX-License-Identifier: Apache-2.0
"""Stands for the real package where there is no Windows: the worker asks for it by its name."""

import sys

import mt5_simulator

sys.modules[__name__] = mt5_simulator
