# SPDX-License-Identifier: Apache-2.0
"""From what a client asks for, and what the account looks like, to a checked MT5 request.

Pure. Whatever does not fit raises an error that names the limit; nothing is rounded or guessed.
"""
