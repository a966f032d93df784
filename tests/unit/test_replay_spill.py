"""Lines put aside on disk: each stream as it came, in memory that does not grow with them."""

import errno
import os
import tracemalloc
from collections import defaultdict
from pathlib import Path
from typing import Any, cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from voucher_ledger.replay.spill import Spill


@pytest.fixture(autouse=True)
def small_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("voucher_ledger.replay.spill._BLOCK_BYTES_MAX", 8)


LINES = st.tuples(st.sampled_from("ab"), st.sampled_from(["voucher", "order"]), st.binary(max_size=30))


@given(st.lists(LINES, max_size=60), st.integers(0, 60), st.integers(1, 4))
def test_each_stream_comes_back_as_it_was_added_also_between_additions(
    added: list[tuple[str, str, bytes]], read_after: int, buckets: int
) -> None:
    expected: defaultdict[tuple[int, str], list[bytes]] = defaultdict(list)
    with Spill(buckets) as spill:
        for number, (owner, stream, content) in enumerate(added):
            if number == read_after:
                for (bucket, stream_read), lines in expected.items():
                    assert list(spill.lines(bucket, stream_read)) == lines
            line = content.replace(b"\n", b"-")
            spill.add(owner.encode(), stream, line)
            expected[spill.bucket_of(owner.encode()), stream].append(line)
        for (bucket, stream), lines in expected.items():
            assert list(spill.lines(bucket, stream)) == lines


def test_what_is_on_disk_takes_no_memory(tmp_path: Path) -> None:
    lines, line = 20_000, b"x" * 63  # a block each
    with Spill(8, tmp_path) as spill:

        def add_all() -> None:
            for number in range(lines):
                spill.add(f"user-{number % 100}".encode(), "events", line)

        add_all()
        tracemalloc.start()
        try:
            add_all()
            grown_bytes, _ = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
        assert sum(1 for bucket in range(8) for _ in spill.lines(bucket, "events")) == 2 * lines
    assert grown_bytes < lines, "less than a byte a block"


def test_a_full_disk_is_told_with_its_place_and_what_to_do(tmp_path: Path) -> None:
    class Full:
        """A file of a disk that takes no more: neither now nor when what is buffered is written at its end."""

        def write(self, _block: bytes) -> int:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

        def close(self) -> None:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    spill = Spill(1, tmp_path)
    spill._file.close()
    spill._file = cast("Any", Full())
    with pytest.raises(OSError, match=r"No space left on device .*--spill-dir names another directory") as told, spill:
        spill.add(b"ana", "order", b"more than a block holds")
    assert (told.value.errno, told.value.filename) == (errno.ENOSPC, str(tmp_path))


def test_a_directory_that_takes_no_file_is_told_in_the_same_way(tmp_path: Path) -> None:
    gone = tmp_path / "gone"
    with pytest.raises(OSError, match="--spill-dir names another directory"):
        Spill(1, gone)
