"""Run migrations on the database that the settings name."""

from __future__ import annotations

from alembic import context

from beanft.config import load_settings
from beanft.core.database import make_engine
from beanft.tables import metadata

config = context.config
url = config.attributes.get("url") or load_settings().database_url
engine = make_engine(url)
with engine.connect() as connection:
    context.configure(
        connection=connection,
        target_metadata=metadata,
        # SQLite can't alter a table; alembic copies it instead.
        render_as_batch=engine.dialect.name == "sqlite",
        transaction_per_migration=True,
    )
    with context.begin_transaction():
        context.run_migrations()
engine.dispose()
