"""The hot logger: what goes in comes out of ``logging``, in order, or is counted."""

from __future__ import annotations

import gc
import io
import logging
import threading
import time
import weakref
from collections.abc import Iterator
from decimal import Decimal
from enum import IntEnum

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cexnet_core.errors import ConfigurationError
from cexnet_core.hotlog import HotLog, Template, append_cost_ns, process_log

TEXT_BYTES = 1024
SMALLEST = 1 << 15


class Keeper(logging.Handler):
    """Keeps every record of one logger of its own."""

    def __init__(self, name: str) -> None:
        super().__init__()
        self.records: list[logging.LogRecord] = []
        self.logger = logging.getLogger(name)
        self.logger.propagate = False
        self.logger.setLevel(1)
        self.logger.addHandler(self)

    def emit(self, record: logging.LogRecord) -> None:
        self.records.append(record)

    def texts(self) -> list[str]:
        return [record.getMessage() for record in self.records]


@pytest.fixture
def kept() -> Iterator[Keeper]:
    keeper = Keeper("cexnet.hotlog")  # where the log's own warnings go
    yield keeper
    keeper.logger.removeHandler(keeper)
    keeper.logger.propagate = True


def quiet(capacity: int = SMALLEST, level: int = logging.DEBUG) -> HotLog:
    """A log that writes when it is flushed."""
    return HotLog(capacity, level=level, poll_s=None)


def template_of(log: HotLog, text: str, level: int = logging.WARNING, per_second: int = 0) -> Template:
    return log.template("cexnet.hotlog", level, text, per_second=per_second)


arguments = st.one_of(
    st.integers(-(2**70), 2**70),
    st.floats(allow_nan=False),
    st.text(max_size=80),
    st.text(min_size=300, max_size=1200),
    st.binary(max_size=1300),
    st.booleans(),
    st.none(),
    st.decimals(allow_nan=False),
)


def shown(value: object) -> object:
    """What an argument should come out as."""
    if isinstance(value, Decimal):
        value = str(value)
    if isinstance(value, bytes) and len(value) > TEXT_BYTES:
        return value[:TEXT_BYTES] + b"... (+%d bytes)" % (len(value) - TEXT_BYTES)
    if isinstance(value, str):
        value = value.encode("utf-8", "backslashreplace").decode()
        whole = value.encode()
        if len(whole) > TEXT_BYTES:
            head = whole[:TEXT_BYTES].decode(errors="ignore")
            return f"{head}… (+{len(whole) - len(head.encode())} bytes)"
    return value


# Not a fixture: Hypothesis runs the body many times.
@given(calls=st.lists(st.lists(arguments, max_size=8), max_size=8))
def test_every_record_comes_out_as_it_went_in(calls: list[list[object]]) -> None:
    keeper = Keeper("hot.values")
    try:
        log = quiet(1 << 17)
        for call in calls:
            text = " ".join(["%r"] * len(call)) or "100 %"
            log.template("hot.values", logging.WARNING, text).log(*call)
        assert log.flush()
        assert [record.args for record in keeper.records] == [tuple(map(shown, call)) for call in calls]
        for record, call in zip(keeper.records, calls, strict=True):
            assert [type(value) for value in record.args or ()] == [type(shown(value)) for value in call]
            assert record.getMessage() == (" ".join(repr(shown(value)) for value in call) or "100 %")
    finally:
        keeper.logger.removeHandler(keeper)


@given(
    steps=st.lists(
        st.one_of(st.none(), st.integers(0, TEXT_BYTES), st.integers(200, 5000).map(lambda n: -n)),
        max_size=60,
    )
)
def test_what_is_lost_is_said_in_its_place(steps: list[int | None]) -> None:
    """A number appends one record of that many bytes, or that many small ones; None flushes."""
    keeper, own = Keeper("hot.ring"), Keeper("cexnet.hotlog")
    own.logger.removeHandler(own)
    own.logger.addHandler(keeper)  # one list for both
    try:
        log = quiet()
        record = log.template("hot.ring", logging.ERROR, "%d %s")
        appended = 0
        for step in steps:
            if step is None:
                log.flush()
                continue
            for _ in range(max(1, -step)):
                record.log(appended, "x" * max(0, step))
                appended += 1
        assert log.flush()
        # The oracle: count up; a warning of n stands exactly where n numbers are missing.
        expected = lost = 0
        for each in keeper.records:
            assert isinstance(each.args, tuple)
            if each.name == "cexnet.hotlog":
                assert each.args[1] == log.capacity
                expected += each.args[0]
                lost += each.args[0]
            else:
                assert each.args[0] == expected
                expected += 1
        assert (expected, lost) == (appended, log.lost)
    finally:
        keeper.logger.removeHandler(keeper)
        own.logger.removeHandler(keeper)
        own.logger.propagate = True


def test_a_record_carries_its_own_moment_and_thread(kept: Keeper) -> None:
    log = quiet()
    template = template_of(log, "late")
    before_ns = time.time_ns()
    thread = threading.Thread(target=template.log, name="producer")
    thread.start()
    thread.join()
    after_ns = time.time_ns()
    log.flush()
    (record,) = kept.records
    slack_s = 0.001  # of the tick clock against the wall clock
    assert before_ns / 1e9 - slack_s <= record.created <= after_ns / 1e9 + slack_s
    assert -0.01 <= (record.created * 1000 - record.msecs + 1) % 1000 - 1 <= 1.01
    assert record.relativeCreated / 1000 == pytest.approx(record.created - _start_s(), abs=0.001)
    assert record.thread == thread.ident
    assert (record.levelno, record.levelname, record.name) == (30, "WARNING", "cexnet.hotlog")


def _start_s() -> float:
    """When ``logging`` says that the program began."""
    plain = logging.LogRecord("x", 10, "x", 0, "x", None, None)
    return plain.created - plain.relativeCreated / 1000


def test_levels_cut_off_and_may_change(kept: Keeper) -> None:
    log = quiet(level=logging.WARNING)
    info, error = template_of(log, "info", logging.INFO), template_of(log, "error", logging.ERROR)
    assert (info.is_enabled, error.is_enabled) == (False, True)
    info.log()
    error.log()
    log.level = logging.INFO
    info.log()
    log.flush()
    assert kept.texts() == ["error", "info"]
    kept.logger.setLevel(logging.ERROR)  # the tree has its say when the record is written
    info.log()
    error.log()
    log.flush()
    assert kept.texts() == ["error", "info", "error"]
    assert (log.lost, log.held_back) == (0, 0)


def test_the_same_values_give_the_same_template() -> None:
    log = quiet()
    template = template_of(log, "a %d")
    assert template_of(log, "a %d") is template
    assert template_of(log, "a %d", per_second=1) is not template
    assert repr(template) == "<Template cexnet.hotlog WARNING 'a %d'>"


def test_a_bound_holds_back_and_says_how_many(kept: Keeper) -> None:
    log = quiet()
    template = template_of(log, "flood %d", per_second=10)
    for number in range(5000):
        template.log(number)
    log.flush()
    *passed, summary = kept.records
    # 5,000 calls take far less than a minute: at most ten a second of it passed.
    assert 10 <= len(passed) <= 600
    assert [record.args for record in passed[:10]] == [(number,) for number in range(10)]
    assert summary.args == (5000 - len(passed), "flood %d", 10)
    assert log.held_back == template.held_back == 5000 - len(passed)
    log.flush()
    assert kept.records[-1] is summary  # once


class Odd:
    def __str__(self) -> str:
        raise RuntimeError("no")


class Colour(IntEnum):
    RED = 7


def test_other_objects_are_taken_as_they_are_now(kept: Keeper) -> None:
    log = quiet()
    changing = [1]
    template_of(log, "%s %s %d").log(changing, Odd(), Colour.RED)
    changing.append(2)
    log.flush()
    assert kept.texts() == ["[1] <Odd that cannot be shown: RuntimeError> 7"]


def test_arguments_that_do_not_fit_are_shown_all_the_same(kept: Keeper) -> None:
    log = quiet()
    template_of(log, "%d of %d").log("x")
    log.flush()
    assert kept.texts() == ["%d of %d ('x',)"]
    with pytest.raises(TypeError):
        template_of(log, "%d").log(*range(9))  # type: ignore[call-arg]
    with pytest.raises(TypeError):
        template_of(log, "%d").log(exception="none")  # type: ignore[arg-type]


def test_an_exception_comes_with_its_traceback_and_is_let_go(
    kept: Keeper, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(kept.logger, "handlers", [kept])  # pytest's own keep records
    log = quiet()

    class OwnError(Exception):
        pass

    def fail() -> None:
        raise OwnError("a bug")

    try:
        fail()
    except OwnError as error:
        template_of(log, "failed after %d").log(2**80, exception=error)
        seen = weakref.ref(error)
    gc.collect()
    assert seen() is not None
    log.flush()
    (record,) = kept.records
    text = logging.Formatter().format(record)
    assert text.startswith(f"failed after {2**80}\n")
    assert "in fail" in text
    assert text.endswith("OwnError: a bug")
    kept.records.clear()
    del record
    gc.collect()
    assert seen() is None


def test_what_nobody_writes_is_let_go() -> None:
    class Own(Exception):
        pass

    error = Own()
    seen = weakref.ref(error)
    log = quiet()
    template = log.template("cexnet.hotlog", logging.WARNING, "x %s")
    for _ in range(2000):  # more than there is room for
        template.log("y" * 1000, exception=error)
    assert log.lost > 0
    del error, log, template
    gc.collect()
    assert seen() is None


def test_a_handler_that_raises_harms_no_other_record(
    kept: Keeper, capsys: pytest.CaptureFixture[str]
) -> None:
    class Broken(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            raise OSError("disk full")

    broken = Broken()
    kept.logger.addHandler(broken)
    try:
        with HotLog() as log:
            template = template_of(log, "number %d")
            for number in range(3):
                template.log(number)
    finally:
        kept.logger.removeHandler(broken)
    assert kept.texts() == ["number 0", "number 1", "number 2"]
    assert log.handler_errors == 3
    assert capsys.readouterr().err.count("OSError: disk full") == 3


def test_a_handler_may_log_and_flush(kept: Keeper) -> None:
    class Chatty(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            if record.getMessage() == "question":
                template_of(log, "answer").log()
                assert not log.flush()  # it is being flushed already

    chatty = Chatty()
    kept.logger.addHandler(chatty)
    try:
        with HotLog() as log:
            template_of(log, "question").log()
            assert log.flush()
    finally:
        kept.logger.removeHandler(chatty)
    assert kept.texts() == ["question", "answer"]


@pytest.mark.parametrize("capacity", [SMALLEST, 1 << 22])
def test_many_threads_lose_nothing_uncounted(kept: Keeper, capacity: int) -> None:
    threads, each = 8, 2000
    with HotLog(capacity, poll_s=0.0005) as log:
        template = template_of(log, "%d %d %s")

        def produce(producer: int) -> None:
            for number in range(each):
                template.log(producer, number, "z" * (number % 50))

        workers = [threading.Thread(target=produce, args=(index,)) for index in range(threads)]
        for worker in workers:
            worker.start()
        for worker in workers:
            worker.join()
        assert log.flush(60)
    seen: dict[int, list[int]] = {index: [] for index in range(threads)}
    reported = 0
    for record in kept.records:
        assert isinstance(record.args, tuple)
        if record.args[1] == log.capacity and len(record.args) == 2:
            reported += record.args[0]
        else:
            producer, number, text = record.args
            assert len(text) == number % 50
            seen[producer].append(number)
    assert all(numbers == sorted(set(numbers)) for numbers in seen.values())
    assert sum(map(len, seen.values())) + reported == threads * each
    assert log.lost == reported


def test_the_thread_writes_by_itself_and_ends(kept: Keeper) -> None:
    written = threading.Event()
    kept.emit = lambda record: written.set()  # type: ignore[method-assign]
    log = HotLog()
    template_of(log, "by itself").log()
    assert written.wait(60)
    before = threading.active_count()
    assert log.close(60)
    assert log.close(60)  # idempotent
    assert threading.active_count() == before - 1


def test_after_close_records_are_written_on_the_spot(kept: Keeper) -> None:
    log = HotLog()
    template = template_of(log, "number %d")
    template.log(1)
    log.close()
    template.log(2)
    assert kept.texts() == ["number 1", "number 2"]
    assert log.is_closed


def test_wrong_values() -> None:
    for capacity in (0, SMALLEST - 1, (1 << 31) + 1):
        with pytest.raises(ConfigurationError, match="capacity is"):
            HotLog(capacity)
    for poll_s in (0.0, -1.0, 61.0):
        with pytest.raises(ConfigurationError, match="poll_s is"):
            HotLog(poll_s=poll_s)
    assert HotLog(SMALLEST + 1).capacity == 2 * SMALLEST
    with pytest.raises(ConfigurationError, match="per_second -1"):
        template_of(quiet(), "x", per_second=-1)
    with pytest.raises(ConfigurationError, match="level is 0"):
        template_of(quiet(), "x", level=0)
    with pytest.raises(TypeError, match=r"HotLog\.template"):
        Template()
    with pytest.raises(ConfigurationError, match="rounds is 0"):
        append_cost_ns(0)
    assert append_cost_ns(10) > 0


def test_structlog_formats_the_records() -> None:
    structlog = pytest.importorskip("structlog")
    stream = io.StringIO()
    handler = logging.StreamHandler(stream)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            processor=structlog.processors.JSONRenderer(),
            foreign_pre_chain=[structlog.stdlib.add_log_level, structlog.stdlib.add_logger_name],
        )
    )
    logger = logging.getLogger("hot.structured")
    logger.propagate = False
    logger.addHandler(handler)
    try:
        log = quiet()
        log.template("hot.structured", logging.WARNING, "gap of %d").log(3)
        log.flush()
    finally:
        logger.removeHandler(handler)
    assert stream.getvalue() == '{"event": "gap of 3", "level": "warning", "logger": "hot.structured"}\n'


def test_the_process_has_one_log() -> None:
    assert isinstance(process_log, HotLog)
    assert not process_log.is_closed
    assert "lost=" in repr(process_log)
