# SPDX-License-Identifier: Apache-2.0
"""What an order must fit before it is sent. Pure: values in, nothing or the broken limit out."""
