"""Run migrations on the database that the settings name: all that are pending, or none."""

from __future__ import annotations

from alembic import context

from beanft.config import load_settings
from beanft.core.migrate import MIGRATION_LOCK, migration_engine
from beanft.tables import metadata

config = context.config
url, access = config.attributes.get("url"), config.attributes.get("access")
if not url:  # alembic's own command line
    settings = load_settings()
    url, access = settings.database_url, settings.database_access
engine = migration_engine(url, access)
sqlite = engine.dialect.name == "sqlite"
try:
    with engine.connect() as connection:
        context.configure(
            connection=connection,
            target_metadata=metadata,
            # SQLite can't alter a table; alembic copies it instead.
            render_as_batch=sqlite,
            # One transaction around them all; SQLite's can hold changes of the schema as well.
            transactional_ddl=True,
        )
        with context.begin_transaction():
            if not sqlite:
                # Two at once: the second one waits, and then finds nothing to do. SQLite's
                # write lock does the same.
                connection.exec_driver_sql(f"SELECT pg_advisory_xact_lock({MIGRATION_LOCK})")
            context.run_migrations()
            if sqlite and (
                broken := connection.exec_driver_sql("PRAGMA foreign_key_check").first()
            ):
                raise RuntimeError(
                    f"rows of {broken[0]} refer to rows of {broken[2]} that are gone"
                )
finally:
    engine.dispose()
