# SPDX-License-Identifier: Apache-2.0
"""Counts from real journal lines: what a poll every half second cannot see."""

import time

from mt5_agent.milestones import Milestones
from mt5_agent.report import Report

AUTHORIZED = "'123': authorized on X through Access Point 5 (ping: 45.12 ms, build 4885)"
SYNCHRONIZED = "'123': terminal synchronized with Raw Trading Ltd: 0 positions, 0 orders"
LOST = "'123': connection to X lost"
REFUSED = "'123': authorization on X failed (Invalid account)"


def heard(*lines: tuple[int, str]) -> Milestones:
    milestones = Milestones()
    for at_ms, line in lines:
        milestones.heard(line, at_ms)
    return milestones


def test_each_loss_after_an_authorisation_is_a_kick():
    seen = heard((0, AUTHORIZED), (1, SYNCHRONIZED), (9, LOST), (20, AUTHORIZED), (21, LOST))

    assert seen.authorised_then_lost == 2


def test_a_loss_that_is_told_twice_or_follows_no_authorisation_is_none():
    seen = heard((0, LOST), (1, AUTHORIZED), (2, LOST), (3, LOST), (4, REFUSED), (5, LOST))

    assert seen.authorised_then_lost == 1


def test_time_between_authorised_and_synchronised_adds_up():
    seen = heard((0, AUTHORIZED), (500, SYNCHRONIZED), (10_000, LOST), (11_000, AUTHORIZED))

    assert seen.unsynchronised_ms(11_250) == 750
    assert seen.unsynchronised_ms(21_000) == 10_500


def test_a_loss_a_refusal_and_the_terminals_end_stop_the_count():
    for last in (LOST, REFUSED):
        assert heard((0, AUTHORIZED), (400, last)).unsynchronised_ms(99_000) == 400
    ended = heard((0, AUTHORIZED))
    ended.ended(300)
    assert ended.unsynchronised_ms(99_000) == 300


def test_a_machines_clock_that_is_set_makes_no_time_without_synchronisation(monkeypatch):
    report = Report(backend="metatrader5", platform="Linux", changed=lambda: None)
    report.heard(AUTHORIZED, AUTHORIZED)

    set_to_ns = time.time_ns() + 7200 * 10**9
    monkeypatch.setattr(time, "time_ns", lambda: set_to_ns)

    assert report.unsynchronised_s < 3600
    assert report.state.evidence.unsynchronised_ms < 3_600_000
