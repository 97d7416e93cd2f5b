"""The page of the benchmark says what was measured, and no more."""

from pathlib import Path
from typing import Any

import orjson
import pytest

from backend import cli
from benchmarks.__main__ import main
from benchmarks.goals import FULL_SIZE, NOT_MEASURED, ROWS
from benchmarks.parts import PARTS
from benchmarks.report import JSON, PAGE, keep, read, render

SURROUNDINGS = {
    "at": "2026-01-01T12:00:00+00:00",
    "commit": "abc1234",
    "processor": "A processor",
    "cores": 2,
    "memory_gb": 8.0,
    "system": "Linux",
    "versions": {"Python": "3.11.0"},
}
LOADING = {"rows": FULL_SIZE, "seconds": 10.0, "rows_a_second": 10_175.0, "peak_mb": 301.4}
SIZE = {
    **{"index": "hnsw", "effort": 40, "index_seconds": 1.0, "index_mb": 1.0, "likeness_seconds": 1.0},
    **{"default_ms": 4.0, "default_p99_ms": 9.0, "by_embedding_ms": 2.0, "by_embedding_p99_ms": 5.0},
    **{"disk_mb": 50.0, "postgres_mb": 70.0},
}


@pytest.fixture(autouse=True)
def quiet(monkeypatch: pytest.MonkeyPatch) -> None:
    # Loggers would keep the stream that pytest closes after the test.
    monkeypatch.setattr(cli, "configure_logging", lambda settings: None)


def page_of(folder: Path, **parts: Any) -> str:
    for name, figures in parts.items():
        keep(name, SURROUNDINGS | {"figures": figures}, folder)
    render(read(folder), folder)
    return (folder / PAGE).read_text("utf-8")


def row_of(page: str, what: str) -> list[str]:
    """The cells after the one that says what: goal, measured, reached."""
    line = next(line for line in page.splitlines() if line.startswith(f"| {what}"))
    return [cell.strip() for cell in line.strip("| ").split(" | ")][-3:]


def test_a_goal_without_a_figure_is_said_not_to_be_measured(tmp_path: Path) -> None:
    page = page_of(tmp_path, loading=LOADING)
    for row in ROWS:
        if row.films != "loading.rows":
            assert row_of(page, row.what) == [row.said, NOT_MEASURED, NOT_MEASURED]
    for name, part in PARTS.items():
        said = page.partition(f"## {part.title}\n\n")[2].partition("\n")[0]
        assert said.startswith("Measured at 2026" if name == "loading" else "Not measured.")
    assert ".svg" not in page


def test_a_goal_is_reached_when_all_of_its_figures_are_good_enough(tmp_path: Path) -> None:
    what = "`--from-file` load"
    goal = "5,000 / 300 MB"
    assert row_of(page_of(tmp_path, loading=LOADING), what) == [goal, "10,175 / 301 MB", "no"]
    good = LOADING | {"peak_mb": 299.9}
    assert row_of(page_of(tmp_path, loading=good), what) == [goal, "10,175 / 300 MB", "yes"]


def test_a_figure_of_another_size_reaches_no_goal(tmp_path: Path) -> None:
    page = page_of(tmp_path, loading=LOADING | {"rows": 5_000, "peak_mb": 100.0})
    assert row_of(page, "`--from-file` load")[-1] == "measured at 5,000 films"


def test_a_figure_that_a_part_did_not_find_is_not_measured(tmp_path: Path) -> None:
    page = page_of(
        tmp_path, scale={"sizes": [SIZE | {"films": 1_000}], "growth": None}, rival={"installed": False}
    )
    assert row_of(page, "growth")[-2:] == [NOT_MEASURED, NOT_MEASURED]
    assert row_of(page, "against cine-rec-engine")[-2:] == [NOT_MEASURED, NOT_MEASURED]
    assert "cine-rec-engine: not installed" in page


def test_what_was_measured_earlier_stays_with_its_date(tmp_path: Path) -> None:
    page_of(tmp_path, loading=LOADING)
    later = SURROUNDINGS | {"at": "2026-02-02T12:00:00+00:00", "cores": 4}
    keep("rival", later | {"figures": {"installed": False}}, tmp_path)
    render(read(tmp_path), tmp_path)
    page = (tmp_path / PAGE).read_text("utf-8")
    assert row_of(page, "`--from-file` load")[1] == "10,175 / 301 MB"
    assert "Measured at 2026-01-01" in page
    assert "Measured at 2026-02-02" in page
    assert "- loading: A processor, 2 cores" in page
    assert "- rival: A processor, 4 cores" in page


def test_the_same_figures_give_the_same_page_and_plots(tmp_path: Path) -> None:
    load = {"share": 0.5, "requests": 10, "p50_ms": 1.0, "p95_ms": 2.0, "p99_ms": 3.0}
    for name, figures in {
        "scale": {"sizes": [SIZE | {"films": films} for films in (1_000, 10_000)], "growth": None},
        "load": {"films": 10, "series": {"by default": [load, load | {"share": 0.9}]}},
    }.items():
        keep(name, SURROUNDINGS | {"figures": figures}, tmp_path)
    assert main(["--render", "--out", str(tmp_path)]) == 0
    first = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    assert {"cost_and_size.svg", "latency_and_load.svg", PAGE, JSON} == first.keys()
    assert main(["--render", "--out", str(tmp_path)]) == 0
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == first


def test_what_is_missing_is_said_in_a_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--out", str(tmp_path)]) == 1
    assert main(["--only", "search", "--films", str(Path(__file__)), "--out", str(tmp_path)]) == 1
    assert main(["--films", str(tmp_path / "none.jsonl"), "--out", str(tmp_path)]) == 1
    assert main(["--render", "--out", str(tmp_path)]) == 1
    errors = capsys.readouterr().err.splitlines()
    assert [error[:7] for error in errors] == ["error: "] * 4
    assert "--installation" in errors[1]


def test_numbers_are_kept_as_they_were_measured(tmp_path: Path) -> None:
    page_of(tmp_path, loading=LOADING)
    assert orjson.loads((tmp_path / JSON).read_bytes())["loading"]["figures"] == LOADING
