# SPDX-License-Identifier: Apache-2.0
"""Speed and memory, shown as ratios to a reference that runs in the same minutes.

Machines are noisy and unlike each other; a ratio of two things measured in turns is neither. So
absolute figures are printed, and only ratios are held against a target.
"""
