"""`python backend/generate_embeddings.py`: embeds what is pending, then sees to the index."""

import argparse
import sys
from pathlib import Path

if __package__ in (None, ""):  # run as a script: the repository is what `backend` is imported from
    sys.path[0] = str(Path(__file__).resolve().parents[1])

from backend import cli
from backend.config import get_settings
from backend.database import get_engine
from backend.migrations import migrate
from backend.ml.embeddings import embedding_coverage
from backend.ml.vector_index import ensure_index
from backend.operations.jobs import JobRunner
from backend.operations.nightly import JOB_WORK


def generate_embeddings(arguments: argparse.Namespace) -> None:
    """Encode every film whose text or model is not the one its vector was made from."""
    migrate(get_engine())
    settings = get_settings()
    encoded = JobRunner(get_engine(), settings, JOB_WORK).run_now("embeddings").counts["embedded"]
    now = embedding_coverage(settings.embedding_model)
    print(f"Films embedded: {encoded:,}." if encoded else "Nothing to embed.")
    print(f"coverage: {now.with_embeddings:,} of {now.total_movies:,} films ({now.percentage:.1f} %)")
    print(ensure_index(get_engine(), settings))


def main(argv: list[str] | None = None) -> int:
    """The command."""
    parser = argparse.ArgumentParser(prog="generate_embeddings.py", description=__doc__)
    return cli.run(generate_embeddings, parser, argv)


if __name__ == "__main__":
    sys.exit(main())
