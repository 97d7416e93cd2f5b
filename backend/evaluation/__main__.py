"""`python -m backend.evaluation`: how good the answers are, measured offline."""

import argparse
import sys
from pathlib import Path

from backend import cli
from backend.config import get_settings
from backend.errors import WrongArgumentsError
from backend.evaluation.learner import ServedLearner
from backend.evaluation.report import read, render, terminal, write
from backend.evaluation.run import evaluate


def build_parser() -> argparse.ArgumentParser:
    """The options."""
    parser = argparse.ArgumentParser(prog="python -m backend.evaluation", description=__doc__)
    parser.add_argument("--movielens", type=Path, metavar="DIR", help="folder with ratings.csv and links.csv")
    parser.add_argument("--films", type=Path, metavar="FILE", help="TMDB-shaped films: .jsonl or .jsonl.gz")
    parser.add_argument("--out", type=Path, default=Path("docs"), metavar="DIR", help="where results go (docs)")
    parser.add_argument("--rounds", type=int, default=1, metavar="N", help="times all people are held out (1)")
    parser.add_argument("--render", action="store_true", help="only write the page anew from quality.json")
    return parser


def main(argv: list[str] | None = None) -> int:
    """The command."""
    return cli.run(_evaluate, build_parser(), argv)


def _evaluate(arguments: argparse.Namespace) -> None:
    if arguments.render:
        render(read(arguments.out), arguments.out)
        return
    if arguments.movielens is None or arguments.films is None:
        raise WrongArgumentsError("--movielens DIR and --films FILE say what to evaluate on")
    results = evaluate(
        arguments.movielens,
        arguments.films,
        learner=ServedLearner(),
        cache=get_settings().data_dir / "evaluation",
        rounds=arguments.rounds,
        tell=lambda line: print(line, file=sys.stderr, flush=True),
    )
    written = write(results, arguments.out)
    print(terminal(written))
    render(written, arguments.out)


if __name__ == "__main__":
    sys.exit(main())
