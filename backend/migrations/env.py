"""Alembic's entry: the connection comes from `backend.database`, there is no alembic.ini."""

from alembic import context

from backend.models import Base

context.configure(connection=context.config.attributes["connection"], target_metadata=Base.metadata)
with context.begin_transaction():
    context.run_migrations()
