# SPDX-License-Identifier: Apache-2.0
"""Which names a `group` argument chooses."""

from fnmatch import fnmatchcase


def chosen(name: str, group: str) -> bool:
    """Tell whether `name` is of `group`: masks by comma, `!` excludes, empty is all."""
    found = not group
    for mask in filter(None, (part.strip() for part in group.split(","))):
        if mask.startswith("!"):
            found = found and not fnmatchcase(name, mask[1:])
        else:
            found = found or fnmatchcase(name, mask)
    return found


def wanted(own: int, name: str, *, symbol: str, ticket: int, group: str) -> bool:
    """Tell whether a position or order is asked for: ticket beats symbol beats group (MT5.md
    3.2)."""
    if ticket:
        return own == ticket
    return name == symbol if symbol else chosen(name, group)
