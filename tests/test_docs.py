"""The documents say what is so: routes, commands, make targets, links, paths."""

import importlib
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from backend.config import Settings
from backend.main import create_app

ROOT = Path(__file__).parents[1]
DOCUMENTS = [*sorted(ROOT.glob("*.md")), *sorted((ROOT / "docs").rglob("*.md"))]
README = (ROOT / "README.md").read_text("utf-8")
DECISIONS = sorted((ROOT / "docs" / "decisions").glob("*.md"))

ROUTE_ROW = re.compile(r"^\| `(GET|POST|PUT|PATCH|DELETE) (/\S*)` \|", re.MULTILINE)
CODE = re.compile(r"```.*?```|`[^`\n]+`", re.DOTALL)
COMMAND = re.compile(r"\bpython (-m backend|\S+\.py)(?![.\w])([^`\n#|]*)")
MAKE = re.compile(r"\bmake ([a-z][a-z-]*)")
LINK = re.compile(r"\[[^\]]*\]\(([^)\s]+)\)")
PATH = re.compile(r"`((?:backend|tests|docs)/[\w./-]+\.\w+)`")


def code_of(document: Path) -> str:
    """What stands between backticks, which is what readers copy."""
    return "\n".join(CODE.findall(document.read_text("utf-8")))


def commands() -> Iterator[tuple[str, str]]:
    """Each program that a document calls, with what follows it on the line."""
    for document in DOCUMENTS:
        for program, rest in COMMAND.findall(code_of(document)):
            yield program, rest.strip()


def module_of(program: str) -> str:
    """`-m backend` or a script's path, as a module."""
    if program == "-m backend":
        return "backend.__main__"
    return program.removesuffix(".py").replace("/", ".")


def subcommand_of(rest: str) -> list[str]:
    """The words before the first option or argument."""
    words = rest.split()
    ends = (number for number, word in enumerate(words) if not word.isalpha())
    return words[: next(ends, len(words))]


def relative(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


def test_the_readme_lists_the_routes_that_there_are(tmp_path: Path) -> None:
    app = create_app(Settings(_env_file=None, data_dir=tmp_path))
    paths = app.openapi()["paths"]
    served = {(method.upper(), path) for path, methods in paths.items() for method in methods}
    listed = ROUTE_ROW.findall(README)
    assert set(listed) == served
    assert len(listed) == len(served)


def test_every_program_stands_in_the_readme() -> None:
    named = {program for program, _ in COMMAND.findall(README)}
    scripts = {"movie_pipeline.py", "backend/generate_embeddings.py", "backend/migrate_add_pgvector.py"}
    assert {"-m backend"} | scripts <= named


@pytest.mark.parametrize(("program", "rest"), sorted(set(commands())))
def test_a_documented_command_exists_with_its_options(
    program: str, rest: str, capsys: pytest.CaptureFixture[str]
) -> None:
    main = importlib.import_module(module_of(program)).main
    with pytest.raises(SystemExit) as ended:
        main([*subcommand_of(rest), "--help"])
    shown = capsys.readouterr().out
    assert ended.value.code == 0
    missing = [option for option in re.findall(r"--[a-z-]+", rest) if not re.search(rf"{option}\b", shown)]
    assert not missing, f"not in the help of {program}: {missing}"


@pytest.mark.parametrize("document", DOCUMENTS, ids=relative)
def test_documented_make_targets_exist(document: Path) -> None:
    targets = set(re.findall(r"^([a-z][a-z-]*):", (ROOT / "Makefile").read_text("utf-8"), re.MULTILINE))
    assert set(MAKE.findall(code_of(document))) <= targets


@pytest.mark.parametrize("document", DOCUMENTS, ids=relative)
def test_links_and_paths_lead_somewhere(document: Path) -> None:
    content = document.read_text("utf-8")
    inside = [target for target in LINK.findall(content) if "://" not in target]
    broken = [target for target in inside if not (document.parent / target.partition("#")[0]).exists()]
    broken += [path for path in PATH.findall(content) if not (ROOT / path).exists()]
    assert not broken


def test_the_readme_carries_the_attribution_that_tmdb_asks_for() -> None:
    line = "This product uses the TMDB API but is not endorsed or certified by TMDB."
    assert line in README.splitlines()


def test_decisions_are_numbered_in_a_row_and_listed() -> None:
    assert [path.name[:5] for path in DECISIONS] == [f"{number:04}-" for number in range(1, len(DECISIONS) + 1)]
    listed = LINK.findall((ROOT / "docs" / "architecture.md").read_text("utf-8"))
    assert {f"decisions/{path.name}" for path in DECISIONS} <= set(listed)


@pytest.mark.parametrize("decision", DECISIONS, ids=relative)
def test_a_decision_says_why_and_what_follows(decision: Path) -> None:
    parts = re.findall(r"^\*\*(\w+)\.\*\*", decision.read_text("utf-8"), re.MULTILINE)
    assert parts == ["Context", "Choice", "Alternatives", "Consequence"]
