"""What ratings come in: one file, the members of a ZIP, the files of a folder; read within bounds."""

import io
import math
import time
import zipfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from backend.errors import FileTooLargeError, UnusableFileError, UsageError

MAX_UPLOAD = 20_000_000
"""Bytes of a request with a file of ratings; a person's export has a few hundred thousand."""
JSON_BYTES = 16_000_000
"""JSON is read whole, and takes a multiple of its size in memory. Trakt writes a few thousand rows a file."""
START = 4096
"""Characters that tell what a file is."""
DAMAGED = (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, RuntimeError, ValueError, OSError)
"""What `zipfile` raises over a file that lies about itself."""
PLAIN = {zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED}


@dataclass(frozen=True)
class Limits:
    """How much is read of what somebody sends."""

    rows: float = math.inf
    unpacked: float = math.inf
    """Bytes of one file."""
    members: float = math.inf
    """Of a ZIP."""
    seconds: float = math.inf


class Bounds:
    """Limits, and what has been used up of them."""

    def __init__(self, limits: Limits | None = None) -> None:
        self.limits = limits or Limits()
        self._rows = 0
        self._deadline = time.monotonic() + self.limits.seconds

    def count_row(self) -> None:
        """One row more. Raises FileTooLargeError where that is too many."""
        self._rows += 1
        if self._rows > self.limits.rows:
            raise FileTooLargeError(f"At most {self.limits.rows:,} rows are read of a file; send it in parts.")

    def check_time(self) -> None:
        """Raise FileTooLargeError where the time is over."""
        if time.monotonic() > self._deadline:
            raise FileTooLargeError(
                f"A file may take at most {self.limits.seconds:g} seconds; send it in parts. What was stored "
                "until then stays, and sending it again does no harm."
            )


@dataclass(frozen=True)
class Part:
    """A file that ratings may be in, by its path within what was given; it can be read more than once."""

    name: str
    bounds: Bounds
    unfold: Callable[[], IO[bytes]]

    def lines(self) -> Iterator[str]:
        """Its lines with their ends, of UTF-8 with or without a mark; what is no UTF-8 is U+FFFD."""
        with self._open(self.bounds.limits.unpacked) as binary:
            text = io.TextIOWrapper(io.BufferedReader(binary), "utf-8-sig", errors="replace", newline="")
            for line in text:
                yield line.replace("\0", "")

    def start(self) -> str:
        """What it begins with."""
        with self._open(math.inf) as binary:
            return binary.read(START).decode("utf-8-sig", errors="replace").replace("\0", "")

    def content(self) -> bytes:
        """All of it, without a mark. Raises FileTooLargeError where that is more than memory is meant for."""
        with self._open(min(JSON_BYTES, self.bounds.limits.unpacked)) as binary:
            return binary.readall().removeprefix(b"\xef\xbb\xbf")

    def _open(self, limit: float) -> "closing[_Bounded]":
        return closing(_Bounded(self, limit))


class _Bounded(io.RawIOBase):
    """A file being read, whose bytes are counted as they come: what a ZIP says of itself proves nothing."""

    def __init__(self, part: Part, limit: float) -> None:
        self._part = part
        self._left = self._limit = limit
        with _telling(part.name):
            self._source = part.unfold()

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        self._part.bounds.check_time()
        with _telling(self._part.name):
            chunk = self._source.read(len(buffer))
        self._left -= len(chunk)
        if self._left < 0:
            raise FileTooLargeError(f"{self._part.name} has more than {self._limit:,} bytes unpacked.")
        buffer[: len(chunk)] = chunk
        return len(chunk)

    def close(self) -> None:
        if not self.closed:
            self._source.close()
        super().close()


@contextmanager
def open_parts(source: Path | bytes, bounds: Bounds) -> Iterator[list[Part]]:
    """The files that are in a file, in a ZIP, in a folder, or in what somebody sent.

    Raises UsageError where it can't be read, and FileTooLargeError where a ZIP has too many members.
    """
    if isinstance(source, Path) and source.is_dir():
        yield [_part_of_folder(source, path, bounds) for path in _tables_in(source)]
        return
    name = source.name if isinstance(source, Path) else "the file"
    with closing(_open_source(source)) as file:
        if file.read(2) == b"PK":
            with _open_archive(file) as archive:
                yield _parts_of_archive(archive, bounds)
        else:
            yield [Part(name, bounds, lambda: _open_source(source))]


def _open_source(source: Path | bytes) -> IO[bytes]:
    if isinstance(source, bytes):
        return io.BytesIO(source)
    try:
        return source.open("rb")
    except FileNotFoundError:
        raise UsageError(f"There is no file {source}") from None
    except OSError as error:
        raise UsageError(f"{source} can't be read: {error.strerror}") from error


def _tables_in(folder: Path) -> list[Path]:
    """An unpacked export is two floors high."""
    found = (path for kind in ("csv", "json") for floor in ("", "*/") for path in folder.glob(f"{floor}*.{kind}"))
    return sorted(path for path in found if path.is_file())


def _part_of_folder(folder: Path, path: Path, bounds: Bounds) -> Part:
    return Part(path.relative_to(folder).as_posix(), bounds, lambda: _open_source(path))


@contextmanager
def _open_archive(file: IO[bytes]) -> Iterator[zipfile.ZipFile]:
    with _telling("The ZIP"):
        archive = zipfile.ZipFile(file)
    with archive:
        yield archive


def _parts_of_archive(archive: zipfile.ZipFile, bounds: Bounds) -> list[Part]:
    members = archive.infolist()
    if len(members) > bounds.limits.members:
        raise FileTooLargeError(
            f"A ZIP may have at most {bounds.limits.members:,} files; this has {len(members):,}."
        )
    if nested := [member.filename for member in members if member.filename.lower().endswith(".zip")]:
        raise UnusableFileError(f"The ZIP has another ZIP in it, {nested[0]}: unpack that, or send it by itself.")
    return [_part_of_archive(archive, member, bounds) for member in members if _is_table(member)]


def _is_table(member: zipfile.ZipInfo) -> bool:
    """Whether it may hold ratings: macOS adds files of its own to a ZIP, under the same names."""
    path = Path(member.filename)
    is_own = "__MACOSX" not in path.parts and not path.name.startswith(".")
    return is_own and path.suffix.lower() in (".csv", ".json") and not member.is_dir()


def _part_of_archive(archive: zipfile.ZipFile, member: zipfile.ZipInfo, bounds: Bounds) -> Part:
    def unfold() -> IO[bytes]:
        if member.compress_type not in PLAIN or member.flag_bits & 1:
            raise UnusableFileError(f"{member.filename} in the ZIP is encrypted, or packed in a way unknown here.")
        return archive.open(member)

    return Part(member.filename, bounds, unfold)


@contextmanager
def _telling(name: str) -> Iterator[None]:
    try:
        yield
    except DAMAGED as error:
        raise UnusableFileError(f"{name} is damaged: {error}") from error
