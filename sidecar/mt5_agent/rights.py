# SPDX-License-Identifier: Apache-2.0
"""Whether programs may trade here, and who forbids it: a pure function of what the package shows.

MT5.md 4, rows 9 and 10: none of this says anything about the platform.
"""

from mt5_agent.protocol import AccountInfo, TerminalInfo


def no_trading(terminal: TerminalInfo, account: AccountInfo | None) -> str:
    """Return why no program can trade here, and what to do; empty: one can, as far as is known."""
    if terminal.tradeapi_disabled:
        return (
            "The terminal's option 'Disable algorithmic trading via external Python API' is on: "
            "turn it off where the terminal's folder was made, and build the image again."
        )
    if not terminal.trade_allowed:
        return (
            "AutoTrading is off in the terminal (orders end with 10027): it is on in the start "
            "file, so delete the pod; if it comes back, the terminal's folder says otherwise."
        )
    if account is None:
        return ""
    if not account.trade_allowed:
        return (
            "The broker lets this log-in trade nothing: an investor password only looks, and an "
            "account may be closed for trading. Put the trading password into the Secret, or ask "
            "the broker."
        )
    if not account.trade_expert:
        return "The broker lets no program trade on this account: ask it to allow that."
    return ""
