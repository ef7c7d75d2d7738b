# SPDX-License-Identifier: Apache-2.0
"""What every request passes: its id, its account, its key and the form of its errors."""
