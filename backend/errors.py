"""AppError and its leaves: a status, a stable code, and a docstring that is the message."""

from inspect import cleandoc


class AppError(Exception):
    """Something went wrong."""

    status = 500
    code = "internal_error"

    def __init__(self, detail: str | None = None, *, field: str | None = None) -> None:
        self.title = cleandoc(type(self).__doc__ or AppError.__doc__ or "")
        self.detail = detail or self.title
        self.field = field
        super().__init__(self.detail)


class MovieNotFoundError(AppError):
    """There is no such film in the catalogue."""

    status = 404
    code = "movie_not_found"


class MovieNotShownError(MovieNotFoundError):
    """There is no such film in the catalogue."""


class InvalidInputError(AppError):
    """A value can't be used."""

    status = 422
    code = "invalid_input"


class UnknownGenreError(InvalidInputError):
    """There is no such genre."""

    code = "unknown_genre"


class NotAuthenticatedError(AppError):
    """A key is needed: send it as X-API-Key or as a bearer token."""

    status = 401
    code = "key_required"


class NotAllowedError(AppError):
    """This needs the admin key."""

    status = 403
    code = "admin_key_required"


class ForeignSiteError(AppError):
    """A page of another site may not ask this."""

    status = 403
    code = "foreign_site"


class BodyTooLargeError(AppError):
    """The request body is too large."""

    status = 413
    code = "body_too_large"


class RateLimitedError(AppError):
    """Too many requests; ask again after the seconds that Retry-After tells."""

    status = 429
    code = "rate_limited"


class UnavailableError(AppError):
    """The database can't be reached at the moment; try again shortly."""

    status = 503
    code = "database_unavailable"


class SetupError(AppError):
    """The installation is not ready; the message says what to run."""

    status = 503
    code = "not_ready"


class ModelError(SetupError):
    """The embedding model can't be used."""

    code = "embedding_model_unusable"


class IndexBuildError(AppError):
    """The new index is not whole; the old one stays."""

    status = 500
    code = "index_build_failed"


class UsageError(AppError):
    """The command can't do what was asked."""

    status = 422
    code = "usage"


class WrongArgumentsError(UsageError):
    """These arguments do not go together."""

    code = "wrong_arguments"


class UnusableFileError(UsageError):
    """No ratings can be read from this file."""

    code = "unusable_file"

    def __init__(self, detail: str) -> None:
        super().__init__(detail, field="body")


class FileTooLargeError(AppError):
    """The file is larger than what is read at once."""

    status = 413
    code = "file_too_large"

    def __init__(self, detail: str) -> None:
        super().__init__(detail, field="body")


class PersonNotFoundError(AppError):
    """Nothing is held about this person."""

    status = 404
    code = "person_not_found"


class LayerUnavailableError(AppError):
    """This layer can't answer at the moment."""

    status = 503
    code = "layer_unavailable"


class QualityNotMeasuredError(AppError):
    """The last training could not measure how good it is: that takes 20 people who like ten films."""

    status = 404
    code = "quality_not_measured"


class MapNotMadeError(AppError):
    """There is no map of the films yet: the job `cache` makes one after each training."""

    status = 404
    code = "map_not_made"


class JobNotFoundError(AppError):
    """There is no such job."""

    status = 404
    code = "job_not_found"


class JobBusyError(AppError):
    """The job is running already."""

    status = 409
    code = "job_busy"


class JobSkippedError(AppError):
    """There was nothing for the job to do."""

    status = 409
    code = "job_skipped"


class TmdbError(AppError):
    """TMDB gave no usable answer."""

    status = 502
    code = "tmdb_failed"


class TmdbUnreachableError(TmdbError):
    """TMDB can't be reached at the moment; run this again later."""

    status = 503
    code = "tmdb_unreachable"


class TmdbNotFoundError(TmdbError):
    """TMDB does not have this."""

    status = 404
    code = "tmdb_not_found"


class TmdbKeyError(TmdbError):
    """Fetching films from TMDB needs a key: set TMDB_API_KEY (free at https://www.themoviedb.org/settings/api)."""

    status = 503
    code = "tmdb_key"


class JobEndedEarlyError(AppError):
    """A job did a part of its work."""

    status = 502
    code = "job_ended_early"

    def __init__(self, detail: str, *, counts: dict[str, int]) -> None:
        super().__init__(detail)
        self.counts = counts
