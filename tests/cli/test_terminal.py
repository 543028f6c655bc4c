"""The live views in a real terminal: they fit it, follow its size, and give it back on Ctrl-C."""

from __future__ import annotations

import re
import sys
from pathlib import Path

import pytest

if sys.platform == "win32":
    pytest.skip("pseudo-terminals are Unix's", allow_module_level=True)

from tests.cli.terminal import CLEARS, Terminal, plain

pytestmark = pytest.mark.slow

FOREVER = ("--seconds", "600")
LAST_LINE = "books recovered"


def pictures(raw: str) -> list[str]:
    """Every whole drawing: each begins where the cursor goes home."""
    return [plain(drawn) for drawn in raw.split("\x1b[H")[1:-1]]


@pytest.mark.parametrize(("columns", "lines"), [(80, 24), (200, 50), (60, 12)])
def test_the_demos_view_fits_the_terminal(columns: int, lines: int) -> None:
    with Terminal("demo", *FOREVER, columns=columns, lines=lines) as terminal:
        terminal.until("cexnet demo: binance(?s:.*)cexnet demo: binance(?s:.*)cexnet demo: binance")
        drawn = pictures(terminal.raw)
        terminal.type("\x03")
        assert terminal.wait() == 130
    assert drawn
    for picture in drawn:
        rows = picture.split("\r\n") if "\r\n" in picture else picture.split("\n")
        assert len(rows) <= lines, repr(picture)
        assert max(map(len, rows)) <= columns
    assert CLEARS not in terminal.raw  # no flicker: what changes is written over
    assert terminal.is_itself_again
    assert "Traceback" not in terminal.text
    assert re.search(r"[\d,]+ messages in [\d.]+ s, gaps 0", terminal.text)


def test_the_view_follows_the_terminals_size() -> None:
    with Terminal("demo", *FOREVER, "--fault", "reset", columns=200, lines=50) as terminal:
        terminal.until(LAST_LINE)
        for columns, lines in ((80, 20), (120, 12), (30, 5), (200, 50)):
            terminal.resize(columns, lines)
            terminal.until("cexnet demo(?s:.*)cexnet demo")
        terminal.type("\x03")
        assert terminal.wait() == 130
    assert "Traceback" not in terminal.text
    assert terminal.is_itself_again


def test_a_demo_of_many_symbols_says_how_many_it_does_not_show() -> None:
    symbols = ("BTCUSDT", "ETHUSDT", "SOLUSDT", "BNBUSDT", "XRPUSDT", "ADAUSDT", "DOGEUSDT", "LTCUSDT")
    with Terminal("demo", *FOREVER, "--symbols", *symbols, columns=80, lines=20) as terminal:
        terminal.until(r"\.\.\. \d+ more")
        terminal.until(LAST_LINE)  # and the end is on the screen all the same
        terminal.type("\x03")
        assert terminal.wait() == 130


def test_what_is_logged_does_not_tear_the_view_and_is_told_after_it() -> None:
    with Terminal("demo", *FOREVER, "--fault", "gap", columns=100, lines=40) as terminal:
        terminal.until("WARNING cexnet.route: gap in DepthUpdate")
        terminal.type("\x03")
        assert terminal.wait() == 130
    after = terminal.text[terminal.text.rfind("cexnet demo: binance") :]
    assert re.search(r"\d\d:\d\d:\d\d WARNING cexnet.route: gap in DepthUpdate", after)


@pytest.mark.parametrize(
    ("arguments", "shown", "result"),
    [
        (("demo", "--seconds", "600", "--json"), "streaming for", r'"messages":\d+'),
        (("simulate", "--fault", "reset:after=5"), "Ctrl-C ends", ""),
        (("report", "--seconds", "600", "--out", "{tmp}/page.html"), r"s to go", "wrote .*page.html"),
        (("bench", "sign", "--rounds", "1000000"), r"round \d+ of", "interleaved rounds"),
        (("record", "binance", "--simulator", "--out", "{tmp}/a.mcap"), r"\d+ frames,", "in 1 file"),
    ],
    ids=["demo --json", "simulate", "report", "bench", "record"],
)
def test_ctrl_c_ends_a_command_with_its_result(
    tmp_path: Path, arguments: tuple[str, ...], shown: str, result: str
) -> None:
    if arguments[0] == "record":
        pytest.importorskip("mcap", reason="the extra `recording` is not installed")
    with Terminal(*(each.format(tmp=tmp_path) for each in arguments)) as terminal:
        terminal.until(shown)
        terminal.type("\x03")
        code = terminal.wait()
    assert code == (0 if arguments[0] == "record" else 130)
    assert "Traceback" not in terminal.text
    assert re.search(result, terminal.text.replace("\r\n", ""))
    assert terminal.raw.rfind("\x1b[?25h") >= terminal.raw.rfind("\x1b[?25l")  # the cursor is back
