# SPDX-License-Identifier: Apache-2.0
"""What a person may ask for: models, and the schema made of them. Knows nothing of the cluster."""
