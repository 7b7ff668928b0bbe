"""${message}.

Revision: ${up_revision}, after ${down_revision | comma,n}, made ${create_date}.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
${imports if imports else ""}

revision = ${repr(up_revision)}
down_revision = ${repr(down_revision)}
branch_labels = None
depends_on = None
phase = "expand"  # "contract" where it takes away what no code of the release before uses


def upgrade() -> None:
    """Bring the schema forward; the release before this one goes on working."""
    ${upgrades if upgrades else "pass"}


def downgrade() -> None:
    """Undo it."""
    ${downgrades if downgrades else "pass"}
