"""`python -m backend.evaluation` from files to tables, JSON, a page and figures."""

from pathlib import Path

import orjson
import pytest

from backend import cli
from backend.config import get_settings
from backend.evaluation.__main__ import main
from backend.evaluation.baselines import BASELINES
from backend.evaluation.report import JSON, PAGE
from tests.evaluation.world import write_world

FIGURES = {"accuracy_and_coverage.svg", "accuracy_and_history.svg"}


@pytest.fixture(autouse=True)
def small(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DATA_DIR", str(tmp_path / "data"))
    # Loggers would keep the stream that pytest closes after the test.
    monkeypatch.setattr(cli, "configure_logging", lambda settings: None)
    get_settings.cache_clear()
    monkeypatch.setattr("backend.evaluation.scale.COPIES", ((1, 1),))
    for name, value in {"LEAST_SEED": 4, "LEAST_CANDIDATE": 2, "NEAREST": 20, "ROUNDS": 1}.items():
        monkeypatch.setattr(f"backend.evaluation.similar.{name}", value)
    fewer = {name: grid[:2] for name, grid in BASELINES.items()}
    monkeypatch.setattr("backend.evaluation.protocols.BASELINES", fewer)


def test_files_become_tables_json_a_page_and_figures(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    movielens, films = write_world(tmp_path)
    out = tmp_path / "out"
    given = ["--movielens", str(movielens), "--films", str(films), "--out", str(out)]
    assert main(given) == 0
    assert {path.name for path in out.iterdir()} == {JSON, PAGE} | FIGURES
    printed = capsys.readouterr().out
    results = orjson.loads((out / JSON).read_bytes())
    page = (out / PAGE).read_text("utf-8")
    outcomes = {outcome["key"]: outcome for outcome in results["outcomes"]}
    methods = {"popular", "content mean", "item-kNN", "PureSVD", "EASE", "iALS", "served"}
    assert methods <= set(outcomes["held_out"]["methods"])
    # Even people like even films: who learns from people finds them.
    found = {name: of["ndcg@10"]["mean"] for name, of in outcomes["held_out"]["methods"].items()}
    assert min(found["served"], found["EASE"]) > 1.5 * found["content mean"] > 0
    for outcome in outcomes.values():
        assert outcome["title"] in printed
        assert f"## {outcome['title']}" in page
    assert len(results["costs"]) == 1

    again = {path.name: path.read_bytes() for path in out.iterdir()}
    assert main(["--render", "--out", str(out)]) == 0
    assert {path.name: path.read_bytes() for path in out.iterdir()} == again


def test_ratings_without_their_films_are_wrong_usage(tmp_path: Path) -> None:
    with pytest.raises(SystemExit) as caught:
        main(["--movielens", str(tmp_path)])
    assert caught.value.code == 2


def test_what_is_missing_is_said_in_a_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--movielens", str(tmp_path), "--films", str(tmp_path / "none.jsonl")]) == 1
    assert main(["--render", "--out", str(tmp_path)]) == 1
    errors = capsys.readouterr().err.splitlines()
    assert [error[:7] for error in errors] == ["error: "] * 2
