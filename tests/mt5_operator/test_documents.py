# SPDX-License-Identifier: Apache-2.0
"""What is generated or listed says what the code says."""

from __future__ import annotations

import re

import pytest

from cluster.paths import REPOSITORY
from mt5_operator import crd, reference
from mt5_operator.reasons import NEEDS_A_PERSON, Reason, known
from mt5_operator.settings import Settings


@pytest.mark.parametrize("folder", crd.FOLDERS)
def test_the_crd_files_are_what_the_models_describe(folder: str) -> None:
    assert (REPOSITORY / folder / crd.FILE).read_text() == crd.text()


def test_the_field_reference_is_what_the_models_describe() -> None:
    assert (REPOSITORY / reference.FILE).read_text() == reference.text()


def test_every_reason_is_documented_and_no_other() -> None:
    text = (REPOSITORY / "docs" / "reasons.md").read_text()

    documented = re.findall(r"^\| `(\w+)` \| .+ \| .+ \|$", text, re.MULTILINE)

    assert sorted(documented) == sorted(reason.value for reason in Reason)


def test_every_setting_is_documented_with_its_default() -> None:
    text = (REPOSITORY / "docs" / "settings-operator.md").read_text()

    documented = re.findall(r"^\| `MT5_OPERATOR_(\w+)` \|", text, re.MULTILINE)

    assert [name.lower() for name in documented] == list(Settings.model_fields)
    for name, field in Settings.model_fields.items():
        if isinstance(field.default, int | float):
            assert f"`MT5_OPERATOR_{name.upper()}` | " in text
            assert re.search(
                rf"_{name.upper()}` \| \S+ \| `{re.escape(str(field.default))}` \|", text
            )


def test_a_word_is_known_only_if_it_is_in_the_list() -> None:
    assert known("BadCredentials") is Reason.BAD_CREDENTIALS
    assert known("BAD_CREDENTIALS") is None
    assert known("MoonPhase") is None
    assert set(Reason) >= NEEDS_A_PERSON
