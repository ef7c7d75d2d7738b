# SPDX-License-Identifier: Apache-2.0
"""What is generated or listed says what the code says."""

from __future__ import annotations

import json
import re

import pytest

from cluster.paths import REPOSITORY
from mt5_operator import crd, reference
from mt5_operator.brokers.evidence import INNOCENT
from mt5_operator.reasons import NEEDS_A_PERSON, Reason, known
from mt5_operator.settings import Settings
from mt5_operator.spec.broker import Name, Verdict


@pytest.mark.parametrize("folder", crd.FOLDERS)
@pytest.mark.parametrize("file", list(crd.files()))
def test_the_crd_files_are_what_the_models_describe(folder: str, file: str) -> None:
    assert (REPOSITORY / folder / file).read_text() == crd.files()[file]


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


def test_the_page_for_sceptics_names_every_threshold_with_its_default() -> None:
    text = (REPOSITORY / "docs" / "broker-compatibility.md").read_text()
    own = {name: f.default for name, f in Settings.model_fields.items() if name[:6] == "broker"}

    documented = dict(re.findall(r"^\| `(BROKERS?_\w+)` \| `([^`]+)`", text, re.MULTILINE))

    assert {name.lower(): value for name, value in documented.items()} == {
        name: f"{default:d}" if isinstance(default, int) and default is not False else str(default)
        for name, default in own.items()
    }


def test_the_page_for_sceptics_draws_every_verdict_and_names_every_criterion() -> None:
    text = (REPOSITORY / "docs" / "broker-compatibility.md").read_text()
    drawn = re.search(r"```mermaid(.*?)```", text, re.DOTALL)

    assert drawn
    assert {verdict.value for verdict in Verdict} == set(re.findall(r"(\w+) --> ", drawn[1]))
    for name in Name:
        assert f"| `{name.value}` |" in text
    for word in INNOCENT:
        assert word == "AgentMissing" or f"`{word}`" in text


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
