"""People with names: who is watching. What they did, and erasing them, is in `interactions`."""

import secrets
from dataclasses import asdict

from fastapi import APIRouter, Response

from backend.api.deps import AskDatabase, PersonPath, ReadSession
from backend.api.inputs import ProfileBody
from backend.api.render import JSONBytes
from backend.api.schemas import Profile, Profiles
from backend.database import session_scope
from backend.errors import PersonNotFoundError
from backend.feedback import profile_store

router = APIRouter(tags=["people"], dependencies=[AskDatabase])

ID_BYTES = 12
"""Of a new person's id: enough that no two are the same."""


@router.get("/people", response_model=Profiles, summary="The people who have a name")
def people(session: ReadSession) -> Response:
    return JSONBytes({"results": [asdict(profile) for profile in profile_store.profiles(session)]})


@router.post("/people", response_model=Profile, summary="A new person, by name")
def add_person(body: ProfileBody) -> Response:
    with session_scope() as session:
        profile = profile_store.add_profile(session, secrets.token_urlsafe(ID_BYTES), name=body.name)
    return JSONBytes(asdict(profile))


@router.patch("/people/{user_id}", response_model=Profile, summary="Give a person a name, or another")
def name_person(user_id: PersonPath, body: ProfileBody) -> Response:
    with session_scope() as session:
        profile = profile_store.rename(session, user_id, name=body.name)
    if profile is None:
        raise PersonNotFoundError(field="user_id")
    return JSONBytes(asdict(profile))
