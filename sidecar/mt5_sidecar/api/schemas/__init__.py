# SPDX-License-Identifier: Apache-2.0
"""What the API is, told to clients: OpenAPI of the operations, AsyncAPI of the streams."""
