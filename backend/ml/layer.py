"""What every layer can be asked, whatever it answers from."""

from collections.abc import Sequence
from typing import Any, Protocol

from backend.catalog.filters import Filters, MovieRef
from backend.ml.answer import NOT_SEEN, Answer, Request, Rows, Verdict
from backend.ml.taste_statements import Vector384


class Layer(Protocol):
    """What every layer can be asked."""

    def similar(
        self,
        ref: MovieRef,
        request: Request,
        *,
        user_id: str | None = None,
        not_counting: tuple[str, ...] = NOT_SEEN,
    ) -> Answer:
        """Films like one film; none that the person did anything with, but for what does not count."""

    def recommend(self, user_id: str, request: Request) -> Answer:
        """What a person may like."""

    def recommend_for(
        self,
        request: Request,
        *,
        liked: Sequence[MovieRef] = (),
        disliked: Sequence[MovieRef] = (),
        meaning: Vector384 | None = None,
    ) -> tuple[Answer, list[MovieRef]]:
        """The same for someone without an account; also the films that are not known."""

    def likes(self, user_id: str) -> Rows:
        """The films that a person thinks most of, the newest of equals first: see `answer.MOST_LIKED`."""

    def explain(self, user_id: str, rows: Rows) -> None:
        """Put into each row what its score is made of, and why."""

    def why(self, user_id: str, ref: MovieRef, request: Request) -> Verdict:
        """Why a film is, or is not, among what a person may like."""

    def detail(self, ref: MovieRef) -> dict[str, Any]:
        """All that is known of a film."""

    def browse(self, filters: Filters, *, limit: int, offset: int) -> tuple[Rows, int]:
        """Films, the popular and good first."""
