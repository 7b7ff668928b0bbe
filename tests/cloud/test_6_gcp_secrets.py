"""An environment's secrets in GCP Secret Manager: a fake."""

from __future__ import annotations

from collections.abc import Callable
from typing import ClassVar

import pytest

from tests.cloud import gcp_fake
from tests.cloud.secrets_story import Story
from tests.cloud.stand_in import Gcp
from tests.cloud.tunnel import Fault


@pytest.fixture
def cloud(gcp: Gcp) -> Gcp:
    """GCP."""
    return gcp


class TestGcp(Story):
    """GCP Secret Manager."""

    store, title, place, most_bytes = "gcp", "GCP Secret Manager", gcp_fake.PROJECT, 65_536
    no_credentials: ClassVar[dict[str, str]] = {"GCP_AUTH_KIND": ""}
    no_credentials_said = "there are no GCP credentials: set GCP_AUTH_KIND to"
    wrong_credentials: ClassVar[dict[str, str]] = {"GCP_ACCESS_TOKEN": "of-somebody-else"}

    def kept(self, cloud: Gcp) -> str | None:
        secrets = cloud.fake.secrets
        return secrets.text(self.secret) if self.secret in secrets.secrets else None

    def remove(self, cloud: Gcp) -> None:
        cloud.fake.secrets.secrets.pop(self.secret)

    def deny(self, cloud: Gcp) -> None:
        message = f"Permission 'secretmanager.secrets.get' denied for resource '{self.secret}'."
        cloud.fake.faults = [Fault("GET secrets", 403, "PERMISSION_DENIED", message)]

    def between(self, cloud: Gcp, then: Callable[[], None]) -> None:
        cloud.fake.before[f"PATCH {self.secret}"] = then

    def test_a_secret_that_somebody_made_by_hand(self, cloud: Gcp, said: list[str]) -> None:
        """Without an alias the latest version counts, until there is one."""
        text = self.kept(cloud) or self.first(cloud, said)
        secret = cloud.fake.secrets.secrets[self.secret]
        secret.pop("versionAliases")
        cloud.fake.secrets.versions[self.secret] = cloud.fake.secrets.versions[self.secret][-1:]
        assert self.vault(cloud, said, "show").code == 0
        assert self.vault(cloud, said, "rotate", "data_queue_password").code == 0
        assert secret["versionAliases"] == {"current": "2"}
        assert self.kept(cloud) != text

    def first(self, cloud: Gcp, said: list[str]) -> str:
        """Make the secret anew."""
        (self.state(cloud) / "vault.yml").unlink()
        assert self.vault(cloud, said, "ensure", SECRET_STORE="gcp").code == 0
        return self.kept(cloud) or ""

    def test_what_is_slow_is_asked_again(self, cloud: Gcp, said: list[str]) -> None:
        cloud.fake.faults = [
            Fault("addVersion secrets", 503, "UNAVAILABLE", "Try again."),
            Fault("GET secrets", 429, "RESOURCE_EXHAUSTED", "Quota exceeded."),
        ]
        done = self.vault(cloud, said, "rotate", "data_queue_password")
        assert done.code == 0, done.said
