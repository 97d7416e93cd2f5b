"""`python -m backend.evaluation.pack`: makes the taste pack that is shipped, from a MovieLens folder."""

import argparse
import sys
from pathlib import Path

from backend import cli
from backend.config import get_settings
from backend.evaluation.data import load
from backend.evaluation.learner import ServedLearner
from backend.ml.corpus import PACKS
from backend.ml.taste_pack import MOVIELENS_TERMS, write_pack

NAME = "movielens-small"


def make_pack(arguments: argparse.Namespace) -> None:
    """Learn from everyone, and write the pack with the terms it is under."""
    dataset = load(arguments.movielens, arguments.films, cache=get_settings().data_dir / "evaluation")
    pack = ServedLearner().pack(dataset)
    write_pack(pack, PACKS / NAME, terms=MOVIELENS_TERMS)
    print(f"{PACKS / NAME}: {len(pack.film_ids):,} films, {pack.people:,} people")


def main(argv: list[str] | None = None) -> int:
    """The command."""
    parser = argparse.ArgumentParser(prog="python -m backend.evaluation.pack", description=__doc__)
    parser.add_argument("--movielens", type=Path, required=True, metavar="DIR", help="ml-latest-small, unpacked")
    parser.add_argument("--films", type=Path, required=True, metavar="FILE", help="TMDB-shaped JSON lines")
    return cli.run(make_pack, parser, argv)


if __name__ == "__main__":
    sys.exit(main())
