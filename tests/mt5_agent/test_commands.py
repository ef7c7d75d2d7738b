# SPDX-License-Identifier: Apache-2.0
"""Commands in settings mean the same words on either system."""

import pytest

from mt5_agent.commands import BadCommand, filled, words


@pytest.mark.parametrize(
    ("text", "windows", "found"),
    [
        ("", False, []),
        ("/opt/bin/terminal --x 'a b' #c", False, ["/opt/bin/terminal", "--x", "a b", "#c"]),
        (r"C:\mt5\python.exe -m x", True, [r"C:\mt5\python.exe", "-m", "x"]),
        (r'"C:\Program Files\t.exe" it\'s', True, [r"C:\Program Files\t.exe", r"it\'s"]),
        (r'["C:\\a b\\t.exe", "/portable"]', False, [r"C:\a b\t.exe", "/portable"]),
    ],
)
def test_words(text, windows, found):
    assert words(text, windows=windows) == found


@pytest.mark.parametrize("text", ['"open', "[1]", '["x"'])
def test_what_is_no_command_is_refused(text):
    with pytest.raises(BadCommand):
        words(text, windows=False)


def test_a_word_with_an_empty_value_is_left_out():
    argv = ["t", "/config:{ini}", "{pid}"]

    assert filled(argv, ini="/run/a.ini", pid="7") == ["t", "/config:/run/a.ini", "7"]
    assert filled(argv, ini="") == ["t", "{pid}"]
