"""The hot logger where a record would be easy to lose: odd arguments, handlers that log after the close."""

from __future__ import annotations

import logging
import math
from collections.abc import Iterator
from threading import Thread

import pytest

from cexnet_core.hotlog import HotLog

NAME = "cexnet.test-hotlog-edges"


class Keeper(logging.Handler):
    """Keeps the texts of one logger, and logs an answer to whatever ``answers`` says."""

    def __init__(self) -> None:
        super().__init__()
        self.texts: list[str] = []
        self.answers: dict[str, str] = {}
        self.log: HotLog | None = None

    def emit(self, record: logging.LogRecord) -> None:
        text = record.getMessage()
        self.texts.append(text)
        if self.log is not None and text in self.answers:
            self.log.template(NAME, logging.WARNING, self.answers[text]).log()


@pytest.fixture
def kept() -> Iterator[Keeper]:
    keeper, logger = Keeper(), logging.getLogger(NAME)
    logger.propagate = False
    logger.addHandler(keeper)
    yield keeper
    logger.removeHandler(keeper)


@pytest.mark.parametrize(
    ("text", "argument", "shown"),
    [
        ("%d", math.inf, "%d (inf,)"),
        ("%d", math.nan, "%d (nan,)"),
        ("%c", 1 << 40, "%c (1099511627776,)"),
        ("%d", 1 << 20_000, "%d ('<an integer of 20001 bits>',)"),
    ],
    ids=["infinity", "no number", "no character", "more digits than Python writes"],
)
def test_a_number_that_its_place_does_not_take_is_shown_behind_the_text(
    kept: Keeper, text: str, argument: float, shown: str
) -> None:
    with HotLog(1 << 15, poll_s=None) as log:
        log.template(NAME, logging.WARNING, text).log(argument)
        log.flush()
        assert (kept.texts, log.handler_errors) == ([shown], 0)


def test_what_a_handler_logs_while_or_after_the_log_is_closed_is_written(kept: Keeper) -> None:
    log = kept.log = HotLog(1 << 15, poll_s=None)
    kept.answers = {"first": "second", "second": "third", "late": "later"}
    log.template(NAME, logging.WARNING, "first").log()
    assert log.close()
    assert kept.texts == ["first", "second", "third"]
    log.template(NAME, logging.WARNING, "late").log()
    assert kept.texts[3:] == ["late", "later"]


def test_a_handler_that_answers_every_record_does_not_hold_up_the_close(kept: Keeper) -> None:
    log = kept.log = HotLog(1 << 15, poll_s=None)
    kept.answers = {"again": "again"}
    log.template(NAME, logging.WARNING, "again").log()
    log.close(timeout_s=60.0)
    assert 1 < len(kept.texts) < 100


def test_a_handler_may_close_the_log_that_is_being_flushed(kept: Keeper) -> None:
    log = HotLog(1 << 15, poll_s=10.0)  # its thread has not come by yet
    ended: list[bool] = []

    class Closer(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            ended.append(log.close(timeout_s=20.0))

    closer = Closer()
    kept_logger = logging.getLogger(NAME)
    kept_logger.addHandler(closer)
    try:
        log.template(NAME, logging.WARNING, "the last").log()
        flushing = Thread(target=log.flush, daemon=True)
        flushing.start()
        flushing.join(10.0)
        assert not flushing.is_alive()
    finally:
        kept_logger.removeHandler(closer)
    assert ended == [False]  # it is being written already
    assert kept.texts == ["the last"]
