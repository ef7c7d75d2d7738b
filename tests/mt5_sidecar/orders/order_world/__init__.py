# SPDX-License-Identifier: Apache-2.0
"""A broker, a terminal and clients for the order core, all from one seed.

The broker's own book is the judge: it counts what was executed by numbers that the order core
does not know the meaning of (a unique take-profit or deviation for each key).
"""
