# SPDX-License-Identifier: Apache-2.0
"""What sidecars say about their terminals, and how the operator proves to them who it is."""
