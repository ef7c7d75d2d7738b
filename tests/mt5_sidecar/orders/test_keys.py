# SPDX-License-Identifier: Apache-2.0
import pytest

from mt5_sidecar.orders.errors import BadKey
from mt5_sidecar.orders.keys import (
    FIRST_OWN_MAGIC,
    carries,
    checked_key,
    is_token,
    magic_of,
    token_of,
)


def test_a_token_fits_the_packages_comment_and_is_the_same_for_ever() -> None:
    token = token_of("10001", "order-1")

    assert len(token) == 29
    # Written down: a token that changes with a release would not be found again.
    assert token == "mt5b-7zu7ncjqzpikeo6flvypx7lv"
    assert magic_of("10001", "order-1") == 8145933122250582


@pytest.mark.parametrize("key", [".", ".."])
def test_a_key_that_no_path_can_carry_is_refused(key: str) -> None:
    with pytest.raises(BadKey, match="cannot be asked for"):
        checked_key(key)


def test_tokens_and_magics_differ_by_key_and_by_account() -> None:
    pairs = [(account, f"k{n}") for account in ("1", "2") for n in range(500)]

    assert len({token_of(*pair) for pair in pairs}) == 1000
    assert len({magic_of(*pair) for pair in pairs}) == 1000


def test_a_magic_of_ours_is_exact_in_javascript() -> None:
    assert all(FIRST_OWN_MAGIC <= magic_of("1", str(n)) < 2**53 for n in range(100))


@pytest.mark.parametrize("left", [29, 20, 15])
def test_a_token_is_known_whole_wrapped_and_cut(left: int) -> None:
    token = token_of("1", "k")

    assert carries(token[:left], token)
    assert carries(f"web: {token[:left]}", token)
    assert not carries(token[:left], token_of("1", "other"))


@pytest.mark.parametrize("comment", ["", "mt5b-", "mt5b-abc", "[sl 1.1]", "hello"])
def test_what_is_left_of_other_comments_is_no_token(comment: str) -> None:
    assert not is_token(comment)
    assert not carries(comment, token_of("1", "k"))


@pytest.mark.parametrize("key", ["", "a b", "ключ", "a\n", "x" * 129])
def test_a_key_that_could_be_misread_is_refused(key: str) -> None:
    with pytest.raises(BadKey):
        checked_key(key)
