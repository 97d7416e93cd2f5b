"""Versions of files: whole or not at all, and never used once they are damaged."""

import json
import os
import shutil
import subprocess
import sys
import threading
from collections.abc import Callable
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from structlog.testing import capture_logs

from backend.errors import LayerUnavailableError
from backend.ml.artefact import (
    CURRENT,
    DRAFT,
    MANIFEST,
    Artefact,
    Watched,
    open_current,
    publishing,
    withdraw,
)
from backend.telemetry import LAYER_UP

NUMBERS, NOTES = "numbers.npy", "notes.txt"
ROOT = Path(__file__).parents[2]

HANGS = """
import sys, time
from pathlib import Path
import numpy as np
from backend.ml import artefact

def hang(*_, **__):
    print("here", flush=True)
    time.sleep(600)

moment = sys.argv[2]
if moment == "sealed":
    Path.rename = hang
elif moment == "in its place":
    artefact._point_to = hang
elif moment == "pointing":
    Path.replace = hang
with artefact.publishing(Path(sys.argv[1])) as draft:
    np.save(draft.folder / "numbers.npy", np.arange(7))
    if moment == "filling":
        hang()
"""


def publish(root: Path, first: int = 0, **tags: Any) -> str:
    """Publish eight numbers, and a file that may go on changing; the version."""
    with publishing(root) as draft:
        np.save(draft.folder / NUMBERS, np.arange(first, first + 8))
        (draft.folder / NOTES).write_text("notes")
        draft.living.add(NOTES)
        draft.tags |= tags
    return draft.version


def numbers(artefact: Artefact) -> NDArray[Any]:
    """What a layer makes of it."""
    return artefact.array(NUMBERS)


def versions(root: Path) -> set[str]:
    """The folders there are, drafts included."""
    return {path.name for path in root.iterdir() if path.is_dir()}


def flip_a_byte(path: Path) -> None:
    """Damage the last byte of a file, in place."""
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)


def halve(path: Path) -> None:
    """Cut a file in the middle, in place."""
    os.truncate(path, path.stat().st_size // 2)


# Publishing


def test_a_version_comes_back_as_it_was_written(tmp_path: Path) -> None:
    version = publish(tmp_path, 5, model="m")
    artefact = open_current(tmp_path)
    assert (artefact.version, artefact.tags) == (version, {"model": "m"})
    assert artefact.array(NUMBERS).tolist() == list(range(5, 13))
    assert artefact.is_whole()


def test_arrays_are_mapped_and_not_read_into_memory(tmp_path: Path) -> None:
    publish(tmp_path)
    array = open_current(tmp_path).array(NUMBERS)
    assert isinstance(array, np.memmap)
    assert not array.flags.writeable


def test_a_version_is_in_force_only_at_the_end_of_the_block(tmp_path: Path) -> None:
    old = publish(tmp_path)
    with publishing(tmp_path) as draft:
        np.save(draft.folder / NUMBERS, np.arange(3))
        assert open_current(tmp_path).version == old
    assert open_current(tmp_path).version == draft.version
    assert versions(tmp_path) == {draft.version}


def test_what_raises_leaves_the_old_version_in_force_and_nothing_else(tmp_path: Path) -> None:
    old = publish(tmp_path)

    def fail(folder: Path) -> None:
        np.save(folder / NUMBERS, np.arange(3))
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError), publishing(tmp_path) as draft:
        fail(draft.folder)
    assert open_current(tmp_path).version == old
    assert versions(tmp_path) == {old}


@pytest.mark.parametrize("moment", ["filling", "sealed", "in its place", "pointing"])
def test_what_is_killed_leaves_the_old_version_in_force_and_is_cleared_away_later(
    tmp_path: Path, moment: str
) -> None:
    old = publish(tmp_path)
    command = [sys.executable, "-c", HANGS, str(tmp_path), moment]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=ROOT) as child:
        assert child.stdout is not None
        assert child.stdout.readline() == "here\n"
        child.kill()
    assert open_current(tmp_path).version == old
    assert len(versions(tmp_path) - {old}) == 1
    new = publish(tmp_path, 1)
    assert versions(tmp_path) == {new}
    assert open_current(tmp_path).array(NUMBERS)[0] == 1


def test_many_publishers_at_once_all_end_well_and_one_version_remains(tmp_path: Path) -> None:
    published: list[str] = []
    failures: list[BaseException] = []

    def work(number: int) -> None:
        try:
            for turn in range(6):
                if (turn + number) % 3:
                    published.append(publish(tmp_path, number))
                    continue
                with pytest.raises(ZeroDivisionError), publishing(tmp_path):
                    raise ZeroDivisionError
        except BaseException as error:
            failures.append(error)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failures
    assert versions(tmp_path) == {open_current(tmp_path).version}
    assert open_current(tmp_path).version in published
    assert len(set(published)) == 24


def test_a_draft_that_goes_while_another_clears_away_is_no_trouble(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / f"{DRAFT}other").mkdir()
    real_stat = Path.stat

    def stat(path: Path, **how: Any) -> os.stat_result:
        if path.name == f"{DRAFT}other" and sys._getframe(1).f_code.co_name == "_is_at_work":
            path.rmdir()
        return real_stat(path, **how)

    monkeypatch.setattr(Path, "stat", stat)
    version = publish(tmp_path)
    assert versions(tmp_path) == {version}


def test_a_version_can_be_withdrawn(tmp_path: Path) -> None:
    withdraw(tmp_path / "never made")
    publish(tmp_path)
    withdraw(tmp_path)
    withdraw(tmp_path)
    assert versions(tmp_path) == set()
    with pytest.raises(LayerUnavailableError, match="there is none"):
        open_current(tmp_path)


# Opening


def test_where_nothing_was_published_there_is_none(tmp_path: Path) -> None:
    for root in (tmp_path, tmp_path / "missing"):
        with pytest.raises(LayerUnavailableError, match=f"there is none in {root}"):
            open_current(root)


@pytest.mark.parametrize("damage", [flip_a_byte, halve, Path.unlink])
@pytest.mark.parametrize("name", [NUMBERS, MANIFEST])
def test_a_damaged_file_is_refused_by_name(tmp_path: Path, name: str, damage: Callable[[Path], None]) -> None:
    version = publish(tmp_path)
    damage(tmp_path / version / name)
    with pytest.raises(LayerUnavailableError, match=str(tmp_path / version / name)):
        open_current(tmp_path)


def test_a_file_that_may_change_has_to_be_there(tmp_path: Path) -> None:
    notes = tmp_path / publish(tmp_path) / NOTES
    flip_a_byte(notes)
    assert open_current(tmp_path).is_whole()
    notes.unlink()
    with pytest.raises(LayerUnavailableError, match=str(notes)):
        open_current(tmp_path)


@pytest.mark.parametrize("content", [b"", b"one", b"a b c", b"\xff\xfe \x00"])
def test_a_damaged_pointer_is_refused_by_name(tmp_path: Path, content: bytes) -> None:
    publish(tmp_path)
    (tmp_path / CURRENT).write_bytes(content)
    with pytest.raises(LayerUnavailableError, match=str(tmp_path / CURRENT)):
        open_current(tmp_path)


def test_the_files_of_another_format_are_refused(tmp_path: Path) -> None:
    version = publish(tmp_path)
    manifest = tmp_path / version / MANIFEST
    manifest.write_text(json.dumps({"format": 0, "content": "unheard of"}))
    (tmp_path / CURRENT).write_text(f"{version} {sha256(manifest.read_bytes()).hexdigest()}")
    with pytest.raises(LayerUnavailableError, match=f"{version} was written by another version of Marquee"):
        open_current(tmp_path)


# Watching


@pytest.fixture
def watched(tmp_path: Path) -> Watched[NDArray[Any]]:
    """A layer of eight numbers from 0."""
    publish(tmp_path)
    watched = Watched("test", tmp_path, numbers)
    watched.refresh()
    return watched


def is_up() -> bool:
    """What the metric says of the layer."""
    return LAYER_UP.labels("test")._value.get() == 1


def test_a_watched_layer_follows_a_new_version(watched: Watched[NDArray[Any]]) -> None:
    with capture_logs() as logs:
        version = publish(watched.root, 5)
        watched.refresh()
        watched.refresh()
    assert watched.get()[0] == 5
    assert is_up()
    assert [(line["event"], line["version"]) for line in logs] == [("layer_opened", version)]


def test_before_anything_was_published_a_layer_says_that_it_has_nothing(tmp_path: Path) -> None:
    watched = Watched("test", tmp_path / "cache", numbers)
    watched.refresh()
    with pytest.raises(LayerUnavailableError):
        watched.get()
    publish(tmp_path / "cache")
    watched.refresh()
    assert watched.get()[0] == 0


def test_what_was_refused_is_looked_at_again_after_a_while(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def open_when_there_is_a_descriptor(artefact: Artefact) -> NDArray[Any]:
        if lacking.pop():
            raise OSError(24, "Too many open files")
        return numbers(artefact)

    lacking = [False, True]
    publish(tmp_path)
    watched = Watched("test", tmp_path, open_when_there_is_a_descriptor)
    watched.refresh()
    watched.refresh()
    with pytest.raises(LayerUnavailableError, match="Too many open files"):
        watched.get()
    monkeypatch.setattr("backend.ml.artefact.time.monotonic", lambda: watched._next_try)
    watched.refresh()
    assert watched.get()[0] == 0


def test_a_damaged_version_is_refused_once_and_not_opened_again_and_again(
    watched: Watched[NDArray[Any]], monkeypatch: pytest.MonkeyPatch
) -> None:
    flip_a_byte(watched.root / publish(watched.root, 5) / NUMBERS)
    opened = []
    real = open_current
    monkeypatch.setattr("backend.ml.artefact.open_current", lambda root: opened.append(root) or real(root))
    with capture_logs() as logs:
        for _ in range(3):
            watched.refresh()
            with pytest.raises(LayerUnavailableError, match=NUMBERS):
                watched.get()
    assert len(opened) == 1
    assert [(line["event"], line["log_level"]) for line in logs] == [("layer_refused", "warning")]
    assert NUMBERS in logs[0]["reason"]
    assert not is_up()
    publish(watched.root, 6)
    watched.refresh()
    assert watched.get()[0] == 6
    assert is_up()


def cut(root: Path) -> None:
    """Cut the mapped file: to read it beyond its end now would end the process."""
    os.truncate(root / open_current(root).version / NUMBERS, 100)


@pytest.mark.parametrize("damage", [cut, shutil.rmtree])
def test_a_layer_whose_files_are_cut_or_removed_while_open_is_let_go(
    watched: Watched[NDArray[Any]], damage: Callable[[Path], None]
) -> None:
    damage(watched.root)
    with pytest.raises(LayerUnavailableError, match="damaged or gone"):
        watched.get()
    with capture_logs() as logs:
        for _ in range(3):
            watched.refresh()
            with pytest.raises(LayerUnavailableError):
                watched.get()
    assert [line["event"] for line in logs] == ["layer_refused"]
    assert not is_up()


def test_each_loss_of_a_layer_is_said(watched: Watched[NDArray[Any]]) -> None:
    with capture_logs() as logs:
        for _ in range(2):
            withdraw(watched.root)
            watched.refresh()
            publish(watched.root)
            watched.refresh()
    assert [line["event"] for line in logs] == ["layer_refused", "layer_opened"] * 2


def test_who_asks_while_another_version_takes_its_place_does_not_close_that(
    watched: Watched[NDArray[Any]], monkeypatch: pytest.MonkeyPatch
) -> None:
    publish(watched.root, 5)
    real = Artefact.is_whole

    def is_whole(artefact: Artefact) -> bool:
        whole = real(artefact)
        monkeypatch.undo()
        watched.refresh()
        return whole

    monkeypatch.setattr(Artefact, "is_whole", is_whole)
    with pytest.raises(LayerUnavailableError):
        watched.get()
    assert watched.get()[0] == 5
    assert is_up()


def test_a_version_that_goes_while_it_is_opened_is_let_go_and_the_next_one_opened(
    watched: Watched[NDArray[Any]],
) -> None:
    def slow(artefact: Artefact) -> NDArray[Any]:
        if artefact.tags.get("goes"):
            publish(watched.root, 6)
        return artefact.array(NUMBERS)

    publish(watched.root, 5, goes=True)
    other = Watched("test", watched.root, slow)
    other.refresh()
    with pytest.raises(LayerUnavailableError, match=NUMBERS):
        other.get()
    other.refresh()
    assert other.get()[0] == 6
