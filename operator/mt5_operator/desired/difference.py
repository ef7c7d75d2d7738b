# SPDX-License-Identifier: Apache-2.0
"""Tell whether what is there is what we want, field by field, so that nothing is written twice."""

from __future__ import annotations

from typing import Any, Final

# What names an item of a list. Source: patchMergeKey in k8s.io/api, types.go.
_MERGE_KEYS: Final = ("mountPath", "containerPort", "uid", "name")


def differs(desired: Any, actual: Any) -> bool:
    """Tell whether a field that we ask for is missing or other in `actual`.

    Fields that we do not speak of are the server's or somebody else's, and no difference.
    """
    if isinstance(desired, dict):
        return not isinstance(actual, dict) or any(
            differs(value, actual.get(name)) for name, value in desired.items()
        )
    if isinstance(desired, list):
        return not isinstance(actual, list) or _lists_differ(desired, actual)
    return bool(desired != actual)


def _lists_differ(desired: list[Any], actual: list[Any]) -> bool:
    key = _merge_key(desired)
    if key is None:
        return len(desired) != len(actual) or any(map(differs, desired, actual))
    there = {item.get(key): item for item in actual if isinstance(item, dict)}
    return any(differs(item, there.get(item[key])) for item in desired)


def _merge_key(items: list[Any]) -> str | None:
    for key in _MERGE_KEYS:
        if items and all(isinstance(item, dict) and key in item for item in items):
            return key
    return None
