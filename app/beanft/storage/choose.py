"""Which storage an installation has: its files, or its database where that is a server."""

from __future__ import annotations

from beanft.config import Settings
from beanft.core.database import Database
from beanft.storage.files import FileStorage, Storage


def open_storage(settings: Settings, database: Database) -> Storage:
    """Return where files are kept."""
    if not database.is_postgresql:
        return FileStorage(settings.storage_path)
    from beanft.storage.database import DatabaseStorage

    return DatabaseStorage(database, settings.storage_path, settings.file_cache_bytes)
