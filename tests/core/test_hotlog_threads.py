"""The hot logger among threads: one order for all, whole accounts when it is closed under them."""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterator

import pytest

from cexnet_core.hotlog import HotLog

SMALLEST = 1 << 15


class Kept(logging.Handler):
    """The arguments of every record of one logger."""

    def __init__(self, name: str) -> None:
        super().__init__()
        self.arguments: list[tuple[object, ...]] = []
        self.logger = logging.getLogger(name)
        self.logger.propagate = False
        self.logger.addHandler(self)

    def emit(self, record: logging.LogRecord) -> None:
        assert isinstance(record.args, tuple)
        self.arguments.append(record.args)

    def detach(self) -> None:
        self.logger.removeHandler(self)
        self.logger.propagate = True


@pytest.fixture
def records() -> Iterator[Kept]:
    kept = Kept("hot.threads")
    yield kept
    kept.detach()


@pytest.fixture
def reports() -> Iterator[Kept]:
    kept = Kept("cexnet.hotlog")  # where the log says what it has lost
    yield kept
    kept.detach()


def test_what_one_thread_logs_after_another_comes_out_after_it(records: Kept) -> None:
    threads, rounds = 4, 300
    turns = [threading.Event() for _ in range(threads)]
    with HotLog(poll_s=0.0001) as log:
        template = log.template("hot.threads", logging.WARNING, "%d")

        def take_turns(mine: int) -> None:
            for number in range(rounds):
                assert turns[mine].wait(60)
                turns[mine].clear()
                template.log(number * threads + mine)
                turns[(mine + 1) % threads].set()

        workers = [threading.Thread(target=take_turns, args=(index,)) for index in range(threads)]
        for worker in workers:
            worker.start()
        turns[0].set()
        for worker in workers:
            worker.join()
        assert log.flush(60)
    assert records.arguments == [(number,) for number in range(threads * rounds)]


def test_a_log_that_is_closed_under_its_producers_accounts_for_every_record(
    records: Kept, reports: Kept
) -> None:
    threads, each = 4, 3000
    log = HotLog(SMALLEST, poll_s=0.0005)
    template = log.template("hot.threads", logging.WARNING, "%d %d")
    begin = threading.Barrier(threads + 1)

    def produce(producer: int) -> None:
        begin.wait()
        for number in range(each):
            template.log(producer, number)

    workers = [threading.Thread(target=produce, args=(index,)) for index in range(threads)]
    for worker in workers:
        worker.start()
    begin.wait()
    log.close()
    for worker in workers:
        worker.join()
    assert log.flush(60)
    assert len(records.arguments) + log.lost == threads * each
    assert sum(lost for lost, _ in reports.arguments) == log.lost  # type: ignore[misc]
    for index in range(threads):
        numbers = [number for producer, number in records.arguments if producer == index]
        assert numbers == sorted(set(numbers))


def test_an_overrun_is_reported_though_nothing_is_logged_after_it(records: Kept, reports: Kept) -> None:
    log = HotLog(SMALLEST, poll_s=None)
    template = log.template("hot.threads", logging.WARNING, "%d %s")
    for number in range(1000):
        template.log(number, "x" * 100)
    assert log.lost > 0
    assert log.close()
    assert reports.arguments == [(log.lost, log.capacity)]
    assert len(records.arguments) + log.lost == 1000
    assert log.written == len(records.arguments) + 1
