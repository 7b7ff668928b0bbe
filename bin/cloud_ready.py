"""Says whose account at AWS a run would act on, or in one sentence why it can't."""

from __future__ import annotations

import os
import sys
from typing import Any

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError, NoCredentialsError, ProfileNotFound

MISSING = (
    "there are no AWS credentials: set AWS_PROFILE, or AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY,"
    " or run on a machine that has a role"
)


def whose() -> str:
    """Return the account, the region and who asks.

    Raises:
        ValueError: it can't be told; the message says why and what mends it.
    """
    try:
        session = boto3.Session()
        if session.get_credentials() is None:
            raise ValueError(MISSING)
        # As the inventory takes it.
        region = os.environ.get("AWS_REGION") or os.environ.get("AWS_DEFAULT_REGION")
        if not region:
            raise ValueError("no region is named: set AWS_REGION, as eu-central-1")
        patience = Config(connect_timeout=10, read_timeout=20)
        asked: Any = session.client("sts", region_name=region, config=patience)
        answer = asked.get_caller_identity()
    except ProfileNotFound as error:
        raise ValueError(f"{error}: set AWS_PROFILE to one of ~/.aws/config") from None
    except NoCredentialsError:
        raise ValueError(MISSING) from None
    except ClientError as error:
        said = error.response["Error"]
        raise ValueError(
            f"AWS does not take these credentials ({said['Code']}: {said['Message']}):"
            " get new ones, or set another AWS_PROFILE"
        ) from None
    except BotoCoreError as error:
        raise ValueError(f"AWS does not answer: {error}") from None
    return f"AWS account {answer['Account']}, {region}, as {answer['Arn']}"


if __name__ == "__main__":
    try:
        print(whose())
    except ValueError as problem:
        sys.exit(f"beanft: {problem}")
