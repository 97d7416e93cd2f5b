"""A file that a person sends becomes what they did, and the answer says what became of every row."""

import pytest
from fastapi.testclient import TestClient

from backend.api.middleware import MAX_BODY
from backend.feedback import imports
from backend.feedback.files import MAX_UPLOAD, Limits
from tests.api.answers import act, assert_problem, get, history, ids
from tests.api.conftest import Films, RowCounts
from tests.catalogue import MATRIX, TOY_STORY
from tests.feedback.exports import IMDB_RATINGS, IMDB_WATCHLIST, LETTERBOXD, RATINGS, TRAKT, WATCHED, packed

PATH = "/users/ada/import"
TYPES = [
    "application/octet-stream",
    "application/zip",
    "text/csv",
    "application/json",
    "text/plain; charset=latin-1",
]


def test_what_became_of_a_file_is_told_row_by_row(client: TestClient) -> None:
    told = client.post(PATH, content=IMDB_RATINGS.encode()).json()
    assert told == {
        "format": "IMDb",
        "read": 7,
        "matched": 2,
        "changed": 2,
        "merged": 0,
        "pending": 1,
        "pending_films": [
            {"movie_id": None, "imdb_id": "tt9999993", "title": "Made for Television", "release_year": 2011}
        ],
        "left_alone": [{"reason": "TV Series", "count": 1}, {"reason": "tvEpisode", "count": 1}],
        "rejected": 2,
        "rejected_rows": [
            {"file": "the file", "line": 7, "reason": "Const 'nm0000001' is no IMDb id"},
            {"file": "the file", "line": 8, "reason": "rating '11' is not between 1 and 10"},
        ],
    }
    assert {row["movie_id"] for row in history(client)} == {TOY_STORY, MATRIX, None}


@pytest.mark.parametrize("media_type", TYPES)
@pytest.mark.parametrize(
    ("content", "service"),
    [(packed(LETTERBOXD), "Letterboxd"), (IMDB_WATCHLIST.encode(), "IMDb"), (packed(TRAKT), "Trakt")],
)
def test_what_it_is_is_told_by_what_is_in_it(
    client: TestClient, content: bytes, service: str, media_type: str
) -> None:
    response = client.post(PATH, content=content, headers={"Content-Type": media_type})
    assert (response.status_code, response.json()["format"]) == (200, service)


def test_the_next_recommendations_reflect_it(client: TestClient) -> None:
    assert get(client, "/recommendations/ada")["cold_start"] is True
    client.post(PATH, content=RATINGS.encode())
    assert get(client, "/recommendations/ada")["cold_start"] is False
    assert not {TOY_STORY, MATRIX} & set(ids(client, "/recommendations/ada", n=100))


def test_repeating_it_is_harmless(client: TestClient, row_counts: RowCounts) -> None:
    client.post(PATH, content=packed(LETTERBOXD))
    before = row_counts()
    again = client.post(PATH, content=packed(LETTERBOXD)).json()
    assert again["changed"] == 0
    assert row_counts() == before


def test_a_film_that_is_not_here_counts_when_it_arrives(client: TestClient, add_film: Films) -> None:
    told = client.post(PATH, content=WATCHED.encode(), params={"kind": "like"}).json()
    assert "A Film, Never Made" in [film["title"] for film in told["pending_films"]]
    add_film(id=424242, title="A Film, Never Made", release_year=2004)
    assert 424242 in [row["movie_id"] for row in history(client)]


def test_nobody_else_is_touched(client: TestClient) -> None:
    act(client, TOY_STORY, "dislike", user_id="bob")
    client.post(PATH, content=RATINGS.encode())
    assert [row["kind"] for row in history(client, "bob")] == ["dislike"]


MOVIELENS = b"userId,movieId,rating,timestamp\n1,1,4.0,964982703\n"
REFUSED = [
    (b"", "The file is empty"),
    (b"title,stars\nHeat,5\n", "no ratings that are understood here"),
    (b"PK\x03\x04 and no more", "The ZIP is damaged"),
    (MOVIELENS, "of many people"),
    (packed({"ml/ratings.csv": MOVIELENS.decode(), "ml/links.csv": "movieId,imdbId,tmdbId\n"}), "of many people"),
    (WATCHED.encode(), "does not say what it lists"),
    (RATINGS.replace("Year", "When").encode(), "looks like Letterboxd's, but has no column Year"),
]


@pytest.mark.parametrize(("content", "told"), REFUSED)
def test_what_can_not_be_read_is_refused_with_a_reason(
    client: TestClient, row_counts: RowCounts, content: bytes, told: str
) -> None:
    before = row_counts()
    response = client.post(PATH, content=content)
    assert_problem(response, 422, field="body", code="unusable_file")
    assert told in response.json()["detail"]
    assert row_counts() == before


def test_a_form_is_told_to_send_the_file_itself(client: TestClient) -> None:
    response = client.post(PATH, files={"file": ("ratings.csv", RATINGS.encode(), "text/csv")})
    assert_problem(response, 422, field="body", code="unusable_file")
    assert "not a field of a form" in response.json()["detail"]


@pytest.mark.parametrize(("path", "field"), [(f"{PATH}?kind=rating", "kind"), ("/users/%00/import", "user_id")])
def test_parameters_are_checked(client: TestClient, path: str, field: str) -> None:
    assert_problem(client.post(path, content=RATINGS.encode()), 422, field=field)


def test_a_file_may_be_larger_than_other_bodies_and_not_larger_than_its_limit(client: TestClient) -> None:
    large = RATINGS.encode() + b"\n" * MAX_BODY
    assert client.post(f"/v1{PATH}", content=large).status_code == 200
    assert_problem(client.post("/interactions", content=large), 413, field="body", code="body_too_large")
    for content in (bytes(MAX_UPLOAD + 1), iter([bytes(MAX_UPLOAD), b"1"])):
        response = client.post(PATH, content=content)
        assert_problem(response, 413, field="body", code="body_too_large")
        assert "20,000,000 bytes" in response.json()["detail"]


def test_a_zip_bomb_is_refused(client: TestClient, row_counts: RowCounts) -> None:
    before = row_counts()
    bomb = packed({"ratings.csv": RATINGS + "0" * 65_000_000})
    assert len(bomb) < 100_000
    response = client.post(PATH, content=bomb)
    assert_problem(response, 413, field="body", code="file_too_large")
    assert "more than 64,000,000 bytes unpacked" in response.json()["detail"]
    assert row_counts() == before


@pytest.mark.parametrize(
    ("limits", "told"), [(Limits(rows=2), "At most 2 rows"), (Limits(seconds=-1), "at most -1 seconds")]
)
def test_where_a_limit_is_passed_nothing_is_stored(
    client: TestClient, row_counts: RowCounts, monkeypatch: pytest.MonkeyPatch, limits: Limits, told: str
) -> None:
    monkeypatch.setattr(imports, "UPLOAD", limits)
    before = row_counts()
    response = client.post(PATH, content=packed(LETTERBOXD))
    assert_problem(response, 413, field="body", code="file_too_large")
    assert told in response.json()["detail"]
    assert row_counts() == before
