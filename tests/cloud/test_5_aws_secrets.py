"""An environment's secrets in AWS Secrets Manager: moto's."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, ClassVar

import pytest

from tests.cloud.aws_faults import Fault
from tests.cloud.secrets_story import Story
from tests.cloud.stand_in import REGION, Aws, undocumented


@pytest.fixture
def cloud(aws: Aws) -> Aws:
    """AWS."""
    return aws


class TestAws(Story):
    """AWS Secrets Manager."""

    store, title, place, most_bytes = "aws", "AWS Secrets Manager", REGION, 65_536
    no_credentials: ClassVar[dict[str, str]] = {
        "AWS_ACCESS_KEY_ID": "",
        "AWS_SECRET_ACCESS_KEY": "",
    }
    no_credentials_said = "there are no AWS credentials: set AWS_PROFILE, or AWS_ACCESS_KEY_ID"
    wrong_credentials: ClassVar[dict[str, str]] = {}

    def kept(self, cloud: Aws) -> str | None:
        client = cloud.client("secretsmanager")
        try:
            asked = {"SecretId": self.secret, "VersionStage": "AWSCURRENT"}
            return str(client.get_secret_value(**asked)["SecretString"])
        except client.exceptions.ResourceNotFoundException:
            return None
        finally:
            client.close()

    def remove(self, cloud: Aws) -> None:
        client = cloud.client("secretsmanager")
        client.delete_secret(SecretId=self.secret, ForceDeleteWithoutRecovery=True)
        client.close()

    def deny(self, cloud: Aws) -> None:
        message = (
            "User: arn:aws:iam::123456789012:user/x is not authorized to perform:"
            " secretsmanager:GetSecretValue because no identity-based policy allows the action"
        )
        cloud.proxy.faults = [Fault("GetSecretValue", 400, "AccessDeniedException", message)]

    def between(self, cloud: Aws, then: Callable[[], None]) -> None:
        def after(_answer: bytes) -> None:
            then()

        cloud.proxy.afterwards["PutSecretValue"] = after

    def test_wrong_credentials(self, cloud: Aws, said: list[str]) -> None:
        message = "The security token included in the request is invalid."
        cloud.proxy.faults = [Fault("GetSecretValue", 400, "UnrecognizedClientException", message)]
        text = self.refused(cloud, said, "ensure", SECRET_STORE="aws")
        assert f"does not take these credentials for secret {self.secret}" in text

    def test_a_secret_that_is_to_be_deleted(self, cloud: Aws, said: list[str]) -> None:
        message = (
            "You can't perform this operation on the secret because it was marked for deletion."
        )
        cloud.proxy.faults = [Fault("GetSecretValue", 400, "InvalidRequestException", message)]
        assert message in self.refused(cloud, said, "show")

    def test_what_is_slow_is_asked_again(self, cloud: Any, said: list[str]) -> None:
        self.remove_if_there(cloud)
        cloud.proxy.faults = [
            Fault("GetSecretValue", 400, "ThrottlingException", "Rate exceeded"),
            Fault("CreateSecret", 500, "InternalServiceError", "An error occurred."),
        ]
        (self.state(cloud) / "vault.yml").unlink()
        done = self.vault(cloud, said, "ensure", SECRET_STORE="aws")
        assert done.code == 0, done.said
        assert self.kept(cloud)

    def remove_if_there(self, cloud: Aws) -> None:
        """Remove the secret where there is one."""
        if self.kept(cloud):
            self.remove(cloud)

    def test_what_is_asked_of_the_account_is_documented(self, cloud: Aws) -> None:
        assert undocumented(cloud) == []
