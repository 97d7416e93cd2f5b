"""A versioned folder of files: published whole or not at all, checked before it is used."""

import fcntl
import hashlib
import json
import os
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Generic, TypeVar

import numpy as np
import structlog
from numpy.typing import NDArray

from backend.errors import LayerUnavailableError
from backend.telemetry import LAYER_UP

log = structlog.get_logger()

CURRENT = "current"
"""Names the version in force, and the digest of its manifest."""
MANIFEST = "manifest.json"
DRAFT = ".draft-"
RETRY_SECONDS = 30.0
"""Until what was refused is looked at again: it may have been the moment's fault, such as a lock."""


@dataclass
class Draft:
    """A folder that is being filled."""

    folder: Path
    version: str
    tags: dict[str, Any] = field(default_factory=dict)
    """What it was made from and by; readers ask for it."""
    living: set[str] = field(default_factory=set)
    """Files that go on changing after they were published, and so have no digest: they only have to be there."""


@dataclass(frozen=True)
class Artefact:
    """A published folder whose files have been checked."""

    folder: Path
    version: str
    tags: dict[str, Any]
    stamps: dict[str, tuple[int, ...]]

    def array(self, name: str) -> NDArray[Any]:
        """An array, memory-mapped: workers share it."""
        mapped: NDArray[Any] = np.load(self.folder / name, mmap_mode="r")
        return mapped

    def is_whole(self) -> bool:
        """Whether the files still are those that were checked: reading a mapped file that was cut is fatal."""
        return all(_stamp(self.folder / name)[: len(stamp)] == stamp for name, stamp in self.stamps.items())


@contextmanager
def publishing(root: Path) -> Iterator[Draft]:
    """Fill a draft; at the end of the block it becomes the version in force, and older ones go."""
    root.mkdir(parents=True, exist_ok=True)
    _hand_over(root, root.parent)
    with _locked(root):
        _drop_dead_drafts(root)
        folder = Path(tempfile.mkdtemp(prefix=DRAFT, dir=root))
        # Held until this process ends at most: a draft that nobody holds is of one that was killed.
        held = os.open(folder, os.O_RDONLY)
        fcntl.flock(held, fcntl.LOCK_EX)
    draft = Draft(folder, time.strftime("%Y%m%dT%H%M%S-", time.gmtime()) + folder.name.removeprefix(DRAFT))
    try:
        yield draft
        digest = _seal(draft)
        with _locked(root):
            folder.rename(root / draft.version)
            _point_to(root, draft.version, digest)
            _drop_others(root, draft.version)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
        os.close(held)


def open_current(root: Path) -> Artefact:
    """The version in force, every file checked. Raises LayerUnavailableError with the reason."""
    try:
        version, digest = (root / CURRENT).read_text("ascii").split()
    except FileNotFoundError as error:
        raise LayerUnavailableError(f"there is none in {root}") from error
    except (OSError, ValueError) as error:
        raise LayerUnavailableError(f"{root / CURRENT} is damaged") from error
    folder = root / version
    _check(folder / MANIFEST, digest)
    manifest = json.loads((folder / MANIFEST).read_bytes())
    if not {"files", "tags"} <= manifest.keys():
        raise LayerUnavailableError(f"{folder} was written by another version of Marquee")
    stamps = {name: _check(folder / name, expected) for name, expected in manifest["files"].items()}
    return Artefact(folder, version, manifest["tags"], stamps)


def withdraw(root: Path) -> None:
    """Let there be no version in force."""
    if root.exists():
        with _locked(root):
            (root / CURRENT).unlink(missing_ok=True)
            _drop_others(root, "")


Opened = TypeVar("Opened")


class Watched(Generic[Opened]):
    """What a process has open of the version in force; `refresh` follows when another takes its place."""

    def __init__(self, layer: str, root: Path, opener: Callable[[Artefact], Opened]) -> None:
        self.layer = layer
        self.root = root
        self._opener = opener
        self._pointer: tuple[int, ...] = ()
        self._open: tuple[Artefact, Opened] | None = None
        self._reason = "not opened yet"
        self._next_try = 0.0

    def refresh(self) -> None:
        """Open what is in force, unless it is open already or was refused a moment ago."""
        pointer = _stamp(self.root / CURRENT)
        if pointer == self._pointer:
            if self._open is None and time.monotonic() < self._next_try:
                return
            if self._open is not None and self._open[0].is_whole():
                return
        if not pointer and self._open is None:
            # Nothing was ever published, or it was withdrawn: no fault, and nothing to say.
            self._reason = f"there is none in {self.root}"
            LAYER_UP.labels(self.layer).set(0)
            return
        self._pointer, self._next_try = pointer, time.monotonic() + RETRY_SECONDS
        try:
            artefact = open_current(self.root)
            self._open = (artefact, self._opener(artefact))
        except (LayerUnavailableError, OSError, ValueError) as error:
            # The last two: what was checked a moment ago is gone or cut, because another takes its place.
            self._close(str(error))
        else:
            self._reason = ""
            LAYER_UP.labels(self.layer).set(1)
            log.info("layer_opened", layer=self.layer, version=artefact.version)

    def get(self) -> Opened:
        """What is open. Raises LayerUnavailableError with the reason where nothing is, or not any more."""
        if self._open is None:
            raise LayerUnavailableError(self._reason)
        artefact, opened = self._open
        if not artefact.is_whole():
            # To let go of it is up to `refresh`: from here, another thread's new version might be let go of.
            raise LayerUnavailableError(f"{artefact.folder} is damaged or gone")
        return opened

    def _close(self, reason: str) -> None:
        self._open = None
        LAYER_UP.labels(self.layer).set(0)
        if reason != self._reason:
            log.warning("layer_refused", layer=self.layer, reason=reason)
        self._reason = reason


def _seal(draft: Draft) -> str:
    files = sorted(draft.folder.iterdir())
    digests = {file.name: None if file.name in draft.living else _digest(file) for file in files}
    manifest = {"tags": draft.tags, "files": digests}
    written = json.dumps(manifest, indent=1).encode()
    (draft.folder / MANIFEST).write_bytes(written)
    for path in (*draft.folder.iterdir(), draft.folder):
        _hand_over(path, draft.folder.parent.parent)
        _sync(path)
    return hashlib.sha256(written).hexdigest()


def _point_to(root: Path, version: str, digest: str) -> None:
    fresh = root / f"{CURRENT}.new"
    fresh.write_text(f"{version} {digest}\n", "ascii")
    _sync(fresh)
    fresh.replace(root / CURRENT)
    _sync(root)


def _drop_others(root: Path, version: str) -> None:
    for folder in root.iterdir():
        if folder.is_dir() and folder.name != version and not folder.name.startswith(DRAFT):
            shutil.rmtree(folder, ignore_errors=True)


def _drop_dead_drafts(root: Path) -> None:
    for folder in root.glob(f"{DRAFT}*"):
        # Another's draft may go at any moment.
        with suppress(FileNotFoundError):
            descriptor = os.open(folder, os.O_RDONLY)
            with suppress(BlockingIOError):
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                shutil.rmtree(folder, ignore_errors=True)
            os.close(descriptor)


def _hand_over(path: Path, like: Path) -> None:
    """So that a command run once by root leaves nothing that the service itself could not use."""
    if os.geteuid() == 0:
        owner = like.stat()
        os.chown(path, owner.st_uid, owner.st_gid)


@contextmanager
def _locked(root: Path) -> Iterator[None]:
    with (root / "lock").open("w") as file:
        _hand_over(root / "lock", root.parent)
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def _stamp(path: Path) -> tuple[int, ...]:
    with suppress(OSError):
        found = path.stat()
        return found.st_ino, found.st_size, found.st_mtime_ns
    return ()


def _check(file: Path, digest: str | None) -> tuple[int, ...]:
    """What tells the file from others. Raises LayerUnavailableError where it is not what was written."""
    stamp = _stamp(file)
    try:
        is_same = bool(stamp) if digest is None else _digest(file) == digest
    except OSError as error:
        raise LayerUnavailableError(f"{file} can't be read: {error.strerror}") from error
    if not is_same:
        raise LayerUnavailableError(f"{file} is damaged")
    return stamp[:1] if digest is None else stamp


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
