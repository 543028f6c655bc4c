"""Recordings on disk: what was written comes back, up to the cut, and says what is missing."""

from __future__ import annotations

import signal
import sys
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import NamedTuple

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cexnet.recording import Frame, Recording, RecordingWriter, open_recording
from cexnet_core.errors import ConfigurationError

pytest.importorskip("mcap", reason="recordings are an extra")

START_NS = 1_760_000_000_000_000_000


def made_up(count: int, size: int = 60) -> list[Frame]:
    return [
        Frame(
            index % 3,
            START_NS + index * 1_000_003,
            index % 5 != 0,
            0,
            b'{"n":%d,"filling":"%s"}' % (index, bytes([97 + index % 26]) * size),
        )
        for index in range(count)
    ]


def write(path: Path, frames: list[Frame], *, flush_every: int = 0, max_file_bytes: int = 2**30) -> int:
    """Write ``frames``; how many files it took."""
    writer = RecordingWriter(path, "binance", max_file_bytes=max_file_bytes)
    for index, frame in enumerate(frames, 1):
        writer.write(frame)
        if flush_every and index % flush_every == 0:
            writer.flush()
    writer.close()
    writer.close()  # idempotent
    assert writer.frames == len(frames)
    return writer.parts


frames_of = st.lists(
    st.builds(
        Frame,
        st.integers(0, 5),
        st.integers(0, 2**62),
        st.booleans(),
        st.integers(0, 3),
        st.binary(max_size=200),
    ),
    max_size=30,
)


@given(frames=frames_of)
@settings(max_examples=50)
def test_frames_come_back_as_they_were(frames: list[Frame]) -> None:
    with TemporaryDirectory() as folder:
        path = Path(folder) / "a.mcap"
        write(path, frames)
        recording = Recording(path)
        assert list(recording) == frames
        assert list(recording) == frames  # as often as needed
        assert recording.exchange == "binance"
        assert recording.dropped == sum(frame.dropped_before for frame in frames)
        assert recording.cut is None


class Flushed(NamedTuple):
    """A file's bytes, its frames, and (size of the file, frames in it) after each flush."""

    whole: bytes
    frames: list[Frame]
    marks: list[tuple[int, int]]

    def __repr__(self) -> str:
        return f"<{len(self.frames)} frames in {len(self.whole)} bytes>"


@pytest.fixture(scope="module")
def flushed(tmp_path_factory: pytest.TempPathFactory) -> Flushed:
    path = tmp_path_factory.mktemp("cut") / "whole.mcap"
    frames = made_up(300)
    writer = RecordingWriter(path, "binance")
    marks = [(path.stat().st_size, 0)]
    for index, frame in enumerate(frames, 1):
        writer.write(frame)
        if index % 20 == 0:
            writer.flush()
            marks.append((path.stat().st_size, index))
    writer.close()
    return Flushed(path.read_bytes(), frames, marks)


@given(share=st.floats(0, 1))
@settings(max_examples=200)
def test_a_file_cut_anywhere_replays_what_was_flushed_before(flushed: Flushed, share: float) -> None:
    whole, frames, marks = flushed
    begin = marks[0][0]
    size = begin + round((len(whole) - begin) * share)
    with TemporaryDirectory() as folder:
        path = Path(folder) / "cut.mcap"
        path.write_bytes(whole[:size])
        recording = Recording(path)
        found = list(recording)
        assert recording.exchange == "binance"
        assert found == frames[: len(found)]
        assert len(found) >= max(count for mark, count in marks if mark <= size)
        assert (recording.cut is None) == (size == len(whole))
        if recording.cut is not None:
            assert recording.cut == path


@given(at=st.integers(8), flips=st.binary(min_size=1, max_size=40))
@settings(max_examples=200)
def test_damage_anywhere_costs_what_it_touched_and_is_told(flushed: Flushed, at: int, flips: bytes) -> None:
    whole, frames, marks = flushed
    at = 8 + at % (len(whole) - 8)
    damaged = bytearray(whole)
    for index, flip in enumerate(flips[: len(whole) - at], at):
        damaged[index] ^= flip
    with TemporaryDirectory() as folder:
        path = Path(folder) / "damaged.mcap"
        path.write_bytes(damaged)
        recording = Recording(path)
        found = list(recording)
    plain = [frame._replace(dropped_before=0) for frame in found]
    kept = set(plain)
    assert plain == [frame for frame in frames if frame in kept]  # nothing is invented or reordered
    assert recording.lost == sum(frame.dropped_before for frame in found)
    if len(found) < len(frames):
        assert recording.damaged or recording.cut
    # The metadata before the first chunk say that it is part 1, whose frames begin at 0.
    if found and plain[-1] == frames[-1] and at >= marks[0][0]:
        assert len(found) + recording.lost == len(frames)


def test_a_damaged_chunk_is_stepped_over(flushed: Flushed, tmp_path: Path) -> None:
    whole, frames, marks = flushed
    at = marks[5][0] + 100
    path = tmp_path / "broken.mcap"
    path.write_bytes(whole[:at] + bytes(40) + whole[at + 40 :])
    recording = Recording(path)
    found = list(recording)
    before, behind = marks[5][1], marks[6][1]
    assert found[:before] == frames[:before]
    assert found[before] == frames[behind]._replace(dropped_before=behind - before)
    assert found[before + 1 :] == frames[behind + 1 :]
    assert (recording.lost, recording.damaged, recording.cut) == (behind - before, 1, None)


def test_channels_that_a_damaged_chunk_named_are_known_from_the_end(flushed: Flushed, tmp_path: Path) -> None:
    whole, frames, marks = flushed
    at = marks[0][0] + 100
    path = tmp_path / "broken.mcap"
    path.write_bytes(whole[:at] + bytes(40) + whole[at + 40 :])
    recording = Recording(path)
    found = list(recording)
    assert [frame._replace(dropped_before=0) for frame in found] == frames[marks[1][1] :]
    assert (recording.lost, recording.damaged, recording.cut) == (marks[1][1], 1, None)


def test_a_part_that_breaks_off_does_not_hide_those_behind_it(tmp_path: Path) -> None:
    frames = made_up(2000)
    path = tmp_path / "a.mcap"
    assert write(path, frames, flush_every=50, max_file_bytes=8000) > 3
    second = tmp_path / "a-2.mcap"
    second.write_bytes(second.read_bytes()[:-3000])
    recording = Recording(path)
    found = list(recording)
    assert recording.cut == second
    assert found[-1] == frames[-1]
    assert recording.lost == len(frames) - len(found) > 0


def test_a_part_that_is_missing_does_not_hide_those_behind_it(tmp_path: Path) -> None:
    frames = made_up(2000)
    path = tmp_path / "a.mcap"
    assert write(path, frames, flush_every=50, max_file_bytes=8000) > 4
    for part in (2, 3):
        (tmp_path / f"a-{part}.mcap").unlink()
    (tmp_path / "a-old.mcap").write_bytes(b"of somebody else")
    recording = Recording(path)
    found = list(recording)
    assert found[-1] == frames[-1]
    assert recording.lost == len(frames) - len(found) > 0


def test_a_full_file_is_followed_by_the_next(tmp_path: Path) -> None:
    frames = made_up(2000)
    path = tmp_path / "a.mcap"
    parts = write(path, frames, flush_every=50, max_file_bytes=8000)
    assert parts > 2
    files = sorted(each.name for each in tmp_path.iterdir())
    assert files == sorted(["a.mcap", *(f"a-{part}.mcap" for part in range(2, parts + 1))])
    assert list(open_recording(path)) == frames
    # Each part stands for itself.
    second = list(Recording(tmp_path / "a-2.mcap"))
    assert second
    assert second == [frame for frame in frames if frame in set(second)]
    # The last one broken off does not harm those before it.
    last = tmp_path / f"a-{parts}.mcap"
    last.write_bytes(last.read_bytes()[:5])
    recording = Recording(path)
    found = list(recording)
    assert found == frames[: len(found)]
    assert recording.cut == last


def test_a_file_of_another_recording_is_no_part(tmp_path: Path) -> None:
    ours, others = made_up(1500), made_up(5)
    path = tmp_path / "a.mcap"
    parts = write(path, ours, flush_every=50, max_file_bytes=8000)
    write(tmp_path / f"a-{parts + 1}.mcap", others)
    write(tmp_path / "a-20261129.mcap", others)
    recording = Recording(path)
    assert list(recording) == ours
    assert (recording.lost, recording.cut) == (0, None)
    assert recording.left_out == [tmp_path / f"a-{parts + 1}.mcap", tmp_path / "a-20261129.mcap"]
    assert list(Recording(tmp_path / "a-20261129.mcap")) == others


@pytest.mark.skipif(not hasattr(signal, "SIGXFSZ"), reason="files have no limit here")
@pytest.mark.parametrize("room", [0, 1, 400, 3000])
def test_what_a_full_disk_takes_back_is_counted_to_the_frame(tmp_path: Path, room: int) -> None:
    resource = pytest.importorskip("resource")
    frames = made_up(20_000)
    path = tmp_path / "a.mcap"
    writer = RecordingWriter(path, "binance")
    for frame in frames[:100]:
        writer.write(frame)
    writer.flush()
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    before = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (path.stat().st_size + room, hard))
    written = 100
    try:
        while written < len(frames):
            writer.write(frames[written])
            written += 1
    except OSError:
        lost = writer.abandon()
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
        signal.signal(signal.SIGXFSZ, before)
    assert written < len(frames)
    assert writer.frames + lost == written
    assert lost > 0
    recording = Recording(path)
    assert list(recording) == frames[: writer.frames]
    assert recording.cut == path


def test_nothing_is_overwritten(tmp_path: Path) -> None:
    path = tmp_path / "a.mcap"
    write(path, made_up(3))
    before = path.read_bytes()
    with pytest.raises(ConfigurationError, match="exists"):
        RecordingWriter(path, "binance")
    assert path.read_bytes() == before
    (tmp_path / "b-3.mcap").touch()
    with pytest.raises(ConfigurationError, match="for a part"):
        RecordingWriter(tmp_path / "b.mcap", "binance")
    assert not (tmp_path / "b.mcap").exists()
    with pytest.raises(ConfigurationError, match="cannot write"):
        RecordingWriter(tmp_path / "missing" / "a.mcap", "binance")
    with pytest.raises(ConfigurationError, match="max_file_bytes is 0"):
        RecordingWriter(tmp_path / "c.mcap", "binance", max_file_bytes=0)


def test_what_is_no_recording_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="cannot read"):
        open_recording(tmp_path / "missing.mcap")
    other = tmp_path / "other"
    other.write_text("hello\n")
    with pytest.raises(ConfigurationError, match="not of a capture"):
        open_recording(other)


def test_the_extra_is_named_where_it_is_missing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "mcap.writer", None)
    monkeypatch.setitem(sys.modules, "mcap", None)
    with pytest.raises(ConfigurationError, match=r"pip install 'cexnet\[recording\]'"):
        RecordingWriter(tmp_path / "a.mcap", "binance")
