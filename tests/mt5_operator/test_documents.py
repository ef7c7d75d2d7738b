# SPDX-License-Identifier: Apache-2.0
"""What is generated or listed says what the code says."""

from __future__ import annotations

import json
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

    row = r"^\| `MT5_OPERATOR_(\w+)` \| [^|]* \| (?:`(.*?)`)? \|"
    documented = {name.lower(): default for name, default in re.findall(row, text, re.MULTILINE)}

    assert list(documented) == list(Settings.model_fields)
    for name, field in Settings.model_fields.items():
        assert documented[name] == _as_text(field.default), name


def _as_text(default: object) -> str:
    if isinstance(default, dict | list):
        return json.dumps(default)
    return "" if default is None else str(default)


def test_the_install_guide_names_the_prerequisites_that_chart_and_settings_have() -> None:
    guide = (REPOSITORY / "docs" / "install.md").read_text()
    chart = (REPOSITORY / "charts" / "mt5-bridge" / "Chart.yaml").read_text()
    version = re.search(r'kubeVersion: ">=(\d+\.\d+)\.', chart)
    own = Settings.model_fields
    linux, windows, simulator, sidecar = (
        int(own[f"{name}_requests"].default["memory"].removesuffix("Mi"))
        for name in ("linux", "windows", "simulator", "sidecar")
    )

    assert version
    assert f"Kubernetes {version[1]} or newer" in guide
    assert f"{linux + sidecar}Mi on Linux (terminal {linux}Mi, sidecar {sidecar}Mi)" in guide
    assert f"{windows + sidecar}Mi on Windows ({windows}Mi and {sidecar}Mi)" in guide
    assert f"{simulator + sidecar}Mi on the simulator" in guide
    for name in ("linux", "windows", "sidecar"):
        assert own[f"{name}_limits"].default["memory"] in guide
    assert "**Domain name**" in guide


def test_a_word_is_known_only_if_it_is_in_the_list() -> None:
    assert known("BadCredentials") is Reason.BAD_CREDENTIALS
    assert known("BAD_CREDENTIALS") is None
    assert known("MoonPhase") is None
    assert set(Reason) >= NEEDS_A_PERSON
