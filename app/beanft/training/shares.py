"""Links that show a model to whoever has them: read only, and until they are revoked."""

from __future__ import annotations

import sqlalchemy as sa

from beanft.core.database import Database, utcnow
from beanft.core.errors import ConflictError, NotFoundError
from beanft.security.tokens import new_token, token_hash
from beanft.training.models import Model, ModelShare
from beanft.training.service import own_model

MOST_SHARES = 20


def make_share(database: Database, user_id: str, model_id: str) -> tuple[ModelShare, str]:
    """Make a link to a person's model.

    Returns:
        The link, and its token, which is stored as a hash and so can be shown this once.

    Raises:
        NotFoundError: there is no such model, or it isn't theirs.
        ConflictError: it has 20 links that work.

    """
    token = new_token()
    with database.writing() as session:
        model = own_model(session, user_id, model_id)
        count = sa.select(sa.func.count()).where(
            ModelShare.model_id == model.id, ModelShare.revoked_at.is_(None)
        )
        if int(session.scalar(count) or 0) >= MOST_SHARES:
            raise ConflictError(f"This model has {MOST_SHARES} links. Revoke one first.")
        share = ModelShare(model_id=model.id, token_hash=token_hash(token))
        session.add(share)
    return share, token


def shares_of(database: Database, user_id: str, model_id: str) -> list[ModelShare]:
    """Return the links to a person's model that work, the latest first.

    Raises:
        NotFoundError: there is no such model, or it isn't theirs.

    """
    with database.reading() as session:
        own_model(session, user_id, model_id)
        return list(
            session.scalars(
                sa.select(ModelShare)
                .where(ModelShare.model_id == model_id, ModelShare.revoked_at.is_(None))
                .order_by(ModelShare.created_at.desc(), ModelShare.id)
            )
        )


def revoke_share(database: Database, user_id: str, model_id: str, share_id: str) -> None:
    """Make a link stop working, at once.

    Raises:
        NotFoundError: there is no such link to a model of theirs.

    """
    with database.writing() as session:
        own_model(session, user_id, model_id)
        share = session.get(ModelShare, share_id)
        if share is None or share.model_id != model_id:
            raise NotFoundError("There is no such link.")
        if share.revoked_at is None:
            share.revoked_at = utcnow()


def shared_model(database: Database, token: str) -> Model:
    """Return the model that a link shows.

    Raises:
        NotFoundError: the link is wrong or revoked, or its model is gone.

    """
    with database.reading() as session:
        model = session.scalar(
            sa.select(Model)
            .join(ModelShare, ModelShare.model_id == Model.id)
            .where(ModelShare.token_hash == token_hash(token), ModelShare.revoked_at.is_(None))
        )
    if model is None:
        raise NotFoundError("This link shows nothing. Ask whoever sent it for a new one.")
    return model
