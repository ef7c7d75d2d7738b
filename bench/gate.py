# SPDX-License-Identifier: Apache-2.0
"""What may not get worse: ratios against the recorded ones, and a few figures against a limit.

Recorded are the lowest medians that several quick runs found, on a machine that others used as
well. What is held against them is the higher of median and least disturbed rounds: what slows us
down itself lowers both, a neighbour seldom does.
"""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

from bench.findings import Finding

FILE: Final = Path(__file__).with_name("recorded.json")
ALLOWED: Final = 0.85

Recorded = Mapping[str, float]


def recorded() -> Recorded:
    """Return the recorded ratios, by the findings' keys."""
    found: dict[str, float] = json.loads(FILE.read_text()) if FILE.exists() else {}
    return found


def fallen(findings: Sequence[Finding], recorded: Recorded) -> list[str]:
    """Return a sentence for each ratio that fell too far or is not recorded, each broken limit."""
    complaints = []
    for finding in findings:
        if finding.broken:
            told = f"{finding.value:.1f} {finding.unit}, held to {finding.sense} {finding.limit:g}"
            complaints.append(f"{finding.key}: {told}")
        if finding.throughput is None:
            continue
        before = recorded.get(finding.key)
        if before is None:
            complaints.append(f"{finding.key}: not recorded; run python -m bench --quick --record")
        elif (now := max(finding.value, finding.best or 0)) < before * ALLOWED:
            complaints.append(f"{finding.key}: {now:.2f}, recorded {before:.2f}")
    return complaints


def lowered(findings: Sequence[Finding], recorded: Recorded) -> dict[str, float]:
    """Return the recorded ratios, each lowered to what was found now, and new ones added."""
    found = {each.key: round(each.value, 2) for each in findings if each.throughput is not None}
    return {key: min(value, recorded.get(key, value)) for key, value in found.items()}
