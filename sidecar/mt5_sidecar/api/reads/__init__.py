# SPDX-License-Identifier: Apache-2.0
"""Operations that change nothing at the broker: the account, its market, its past and its state."""
