"""A file that is there as a whole, or as it was before."""

import os
from pathlib import Path


def write_whole(path: Path, content: bytes) -> None:
    """Write `content` to `path`, in the place of what was there; whoever reads meanwhile sees the one or the other.

    Raises OSError, naming the file.
    """
    target = path.resolve()  # a link goes on leading to the file
    if target.exists() and not target.is_file():
        target.write_bytes(content)  # /dev/stdout cannot be replaced
        return
    partial = target.with_name(f".{target.name}.{os.getpid()}.partial")
    try:
        partial.write_bytes(content)
        partial.replace(target)
    except OSError as error:
        raise OSError(error.errno, error.strerror, str(path)) from error
    finally:
        partial.unlink(missing_ok=True)
