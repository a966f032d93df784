"""Lines put aside on disk by bucket and stream, so that what belongs together can be read together in bounded memory.

One unnamed file: nothing is left behind however the process ends. Lines are compressed in blocks, each of which tells
where the one before it of the same stream lies: what is on disk takes no memory, however much it is.
"""

import os
import struct
import tempfile
from array import array
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from types import TracebackType
from typing import Self
from zlib import crc32

import zstandard

COMPRESSION_LEVEL = 1
BUCKETS_MAX = 4_096
COMMANDS_A_BUCKET = 20_000
# What waits to be compressed, all streams of all buckets together; blocks are smaller where there are many.
_BUFFERS_BYTES_MAX = 67_108_864
_STREAMS_A_BUCKET = 16
_BLOCK_BYTES_MAX = 32_768
# Before each block: where the block before it of its stream begins, and its own length.
_HEADER = struct.Struct("<qI")
_NO_BLOCK = -1


_Key = tuple[int, str]
"""(bucket, stream)."""


class Spill:
    """Put lines aside with `add`; once all are there, read them bucket by bucket. Close it, or use it in a `with`.

    Raises (each method) OSError where the disk takes or gives no more; its text says where that is, and what to do.
    """

    def __init__(self, buckets: int, directory: Path | None = None) -> None:
        self.buckets = buckets
        self._directory = directory
        self._end = 0
        self._block_bytes = min(_BLOCK_BYTES_MAX, _BUFFERS_BYTES_MAX // (buckets * _STREAMS_A_BUCKET))
        with self._telling_where():
            self._file = tempfile.TemporaryFile(dir=directory, prefix="voucher-ledger-")  # noqa: SIM115 (closed with this object)
        self._last_blocks: dict[_Key, int] = {}
        self._buffers: dict[_Key, bytearray] = {}
        self._compressor = zstandard.ZstdCompressor(level=COMPRESSION_LEVEL)
        self._decompressor = zstandard.ZstdDecompressor()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trail: TracebackType | None
    ) -> None:
        with suppress(OSError):  # of a full disk: what is still in the buffer is not wanted any more
            self._file.close()

    @property
    def size_bytes(self) -> int:
        """What the file has taken so far."""
        return self._end

    def bucket_of(self, owner: bytes) -> int:
        """The bucket that holds what is of this owner."""
        return crc32(owner) % self.buckets

    def add(self, owner: bytes, stream: str, line: bytes) -> None:
        """Append a line (without a line break) to the stream of the owner's bucket."""
        key = (crc32(owner) % self.buckets, stream)
        buffer = self._buffers.get(key)
        if buffer is None:
            buffer = self._buffers[key] = bytearray()
        buffer += line
        buffer += b"\n"
        if len(buffer) >= self._block_bytes:
            self._flush(key, buffer)

    def lines(self, bucket: int, stream: str) -> Iterator[bytes]:
        """The lines of a bucket's stream, in the order in which they came."""
        key = (bucket, stream)
        file = self._file.fileno()
        with self._telling_where():
            self._file.flush()
            blocks = self._blocks(file, key)
        for offset in reversed(blocks):
            with self._telling_where():
                _, length = _HEADER.unpack(os.pread(file, _HEADER.size, offset))
                block = os.pread(file, length, offset + _HEADER.size)
            yield from _split(self._decompressor.decompress(block))
        yield from _split(bytes(self._buffers.get(key, b"")))

    def _blocks(self, file: int, key: _Key) -> "array[int]":
        """Where the blocks of a stream begin, the last one first."""
        found = array("q")
        offset = self._last_blocks.get(key, _NO_BLOCK)
        while offset != _NO_BLOCK:
            found.append(offset)
            offset, _ = _HEADER.unpack(os.pread(file, _HEADER.size, offset))
        return found

    def _flush(self, key: _Key, buffer: bytearray) -> None:
        block = self._compressor.compress(buffer)
        with self._telling_where():
            self._file.write(_HEADER.pack(self._last_blocks.get(key, _NO_BLOCK), len(block)))
            self._file.write(block)
        self._last_blocks[key] = self._end
        self._end += _HEADER.size + len(block)
        buffer.clear()

    @contextmanager
    def _telling_where(self) -> Iterator[None]:
        """The file has no name, so the error of the system does not say which disk is full."""
        try:
            yield
        except OSError as error:
            taken = f"{self._end:,} bytes were put aside there; --spill-dir names another directory"
            where = str(self._directory or tempfile.gettempdir())
            raise OSError(error.errno, f"{error.strerror} ({taken})", where) from error


def _split(block: bytes) -> list[bytes]:
    return block[:-1].split(b"\n") if block else []


def bucket_count(commands: int) -> int:
    """How many buckets hold what `commands` commands made."""
    return min(BUCKETS_MAX, max(1, -(-commands // COMMANDS_A_BUCKET)))
