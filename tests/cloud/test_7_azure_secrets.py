"""An environment's secrets in Azure Key Vault: a fake. A part of `make test-azure`, since Azure's packages are big."""

from __future__ import annotations

from collections.abc import Callable
from typing import ClassVar

import pytest

from tests.cloud import azure_secrets
from tests.cloud.secrets_story import Story
from tests.cloud.stand_in import Azure
from tests.cloud.tunnel import Fault


@pytest.fixture
def cloud(azure: Azure) -> Azure:
    """Azure."""
    return azure


class TestAzure(Story):
    """Azure Key Vault."""

    store, title, place, most_bytes = "azure", "Azure Key Vault", azure_secrets.NAME, 25_000
    no_credentials: ClassVar[dict[str, str]] = {"AZURE_SECRET": ""}
    no_credentials_said = "there are no Azure credentials: set AZURE_SUBSCRIPTION_ID"
    wrong_credentials: ClassVar[dict[str, str]] = {"AZURE_SECRET": "of-somebody-else"}

    def kept(self, cloud: Azure) -> str | None:
        """Return the last one that is switched on: nobody writes by hand here."""
        found = [
            item["value"]
            for item in cloud.fake.secrets.versions.get(self.secret, [])
            if item["attributes"]["enabled"]
        ]
        return found[-1] if found else None

    def remove(self, cloud: Azure) -> None:
        cloud.fake.secrets.versions.pop(self.secret)

    def deny(self, cloud: Azure) -> None:
        message = "Caller is not authorized to perform action on resource."
        cloud.fake.faults = [Fault("GET secrets", 403, "Forbidden", message)]

    def between(self, cloud: Azure, then: Callable[[], None]) -> None:
        cloud.fake.before[f"PUT {self.secret}"] = then

    def test_without_a_name(self, cloud: Azure, said: list[str]) -> None:
        text = self.refused(
            cloud,
            said,
            "ensure",
            environment="production",
            SECRET_STORE="azure",
            AZURE_KEY_VAULT="",
        )
        assert "set AZURE_KEY_VAULT, the key vault's name" in text

    def test_nobody_is_logged_in(self, cloud: Azure, said: list[str]) -> None:
        names = ("AZURE_TENANT", "AZURE_CLIENT_ID", "AZURE_SECRET", "AZURE_SUBSCRIPTION_ID")
        nobody = dict.fromkeys(names, "")
        text = self.refused(
            cloud, said, "ensure", environment="production", SECRET_STORE="azure", **nobody
        )
        assert "there are no Azure credentials (" in text
