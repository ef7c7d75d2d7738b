# SPDX-License-Identifier: Apache-2.0
"""The Wine image's root file system, once for all tests here."""

import os
from collections.abc import Iterator

import pytest

from contract_wine import wine


@pytest.fixture(scope="session")
def pod() -> Iterator[wine.Pod]:
    """Return a place to run the Wine image's programs in."""
    if os.geteuid() != 0:
        pytest.skip("needs root: it unpacks an image and enters it")
    with wine.unpacked(wine.build()) as root:
        yield wine.Pod(root)
