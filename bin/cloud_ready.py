"""Says whose account at the cloud a run would act on, or in one sentence why it can't."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from typing import Any

import requests
from cloud_credentials import MISSING_AWS, MISSING_AZURE, google_credentials

SCOPE = "https://www.googleapis.com/auth/compute"
SECONDS = 20


# Each cloud's client is imported where it is used: it takes half a second.
def at_aws() -> str:
    """Return the account, the region and who asks.

    Raises:
        ValueError: it can't be told; the message says why and what mends it.
    """
    import boto3
    from botocore.config import Config
    from botocore.exceptions import BotoCoreError, ClientError, NoCredentialsError, ProfileNotFound

    try:
        session = boto3.Session()
        if session.get_credentials() is None:
            raise ValueError(MISSING_AWS)
        # As the inventory takes it.
        region = os.environ.get("AWS_REGION") or os.environ.get("AWS_DEFAULT_REGION")
        if not region:
            raise ValueError("no region is named: set AWS_REGION, as eu-central-1")
        patience = Config(connect_timeout=10, read_timeout=SECONDS)
        asked: Any = session.client("sts", region_name=region, config=patience)
        answer = asked.get_caller_identity()
    except ProfileNotFound as error:
        raise ValueError(f"{error}: set AWS_PROFILE to one of ~/.aws/config") from None
    except NoCredentialsError:
        raise ValueError(MISSING_AWS) from None
    except ClientError as error:
        said = error.response["Error"]
        raise ValueError(
            f"AWS does not take these credentials ({said['Code']}: {said['Message']}):"
            " get new ones, or set another AWS_PROFILE"
        ) from None
    except BotoCoreError as error:
        raise ValueError(f"AWS does not answer: {error}") from None
    return f"AWS account {answer['Account']}, {region}, as {answer['Arn']}"


def at_gcp() -> str:
    """Return the project.

    Raises:
        ValueError: it can't be told; the message says why and what mends it.
    """
    from google.auth.exceptions import GoogleAuthError
    from google.auth.transport.requests import AuthorizedSession

    authorized: Any = AuthorizedSession
    project = os.environ.get("GCP_PROJECT")
    if not project:
        raise ValueError("no project is named: set GCP_PROJECT to the project of the machines")
    url = f"https://compute.googleapis.com/compute/v1/projects/{project}"
    try:
        # A refused token is refused; the client would ask for another one first.
        session = authorized(google_credentials(SCOPE), refresh_status_codes=())
        answer = session.get(url, timeout=SECONDS)
        if answer.ok:
            return f"GCP project {answer.json()['name']}"
        said = answer.json()["error"]["message"]
    except GoogleAuthError as error:
        raise ValueError(f"there are no GCP credentials that can be used: {error}") from None
    except (OSError, KeyError, requests.RequestException) as error:
        raise ValueError(f"GCP does not answer: {error}") from None
    raise ValueError(
        f"GCP does not take these credentials for {project} ({answer.status_code}: {said}):"
        " get new ones, or set another GCP_PROJECT"
    )


def with_azure_cli() -> str:
    """Return the subscription that `az` has chosen.

    Raises:
        ValueError: nobody is logged in.
    """
    if not shutil.which("az"):
        raise ValueError(MISSING_AZURE)
    command = ["az", "account", "show", "--output", "json"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise ValueError(MISSING_AZURE)
    return f"Azure subscription {json.loads(done.stdout)['name']}, as 'az' has it"


def at_azure() -> str:
    """Return the subscription.

    Raises:
        ValueError: it can't be told; the message says why and what mends it.
    """
    names = ("AZURE_SUBSCRIPTION_ID", "AZURE_TENANT", "AZURE_CLIENT_ID", "AZURE_SECRET")
    subscription, tenant, client, secret = (os.environ.get(name) for name in names)
    if not any((subscription, tenant, client, secret)):
        return with_azure_cli()
    if not all((subscription, tenant, client, secret)):
        raise ValueError(MISSING_AZURE)
    # "OAuth 2.0 client credentials flow"; Azure's own client takes seconds to import.
    login = f"https://login.microsoftonline.com/{tenant}/oauth2/v2.0/token"
    root = "https://management.azure.com"
    asked = {
        "grant_type": "client_credentials",
        "client_id": client,
        "client_secret": secret,
        "scope": f"{root}/.default",
    }
    try:
        answer = requests.post(login, data=asked, timeout=SECONDS)
        said = answer.json().get("error_description", "").partition("\n")[0].strip()
        if answer.ok:
            url = f"{root}/subscriptions/{subscription}?api-version=2022-12-01"
            bearer = {"Authorization": f"Bearer {answer.json()['access_token']}"}
            answer = requests.get(url, headers=bearer, timeout=SECONDS)
            if answer.ok:
                return f"Azure subscription {answer.json()['displayName']}"
            said = answer.json()["error"]["message"]
    except (OSError, KeyError, ValueError, requests.RequestException) as error:
        raise ValueError(f"Azure does not answer: {error}") from None
    raise ValueError(
        f"Azure does not take these credentials ({answer.status_code}: {said}):"
        " get new ones, or set another AZURE_SUBSCRIPTION_ID"
    )


if __name__ == "__main__":
    try:
        print({"aws": at_aws, "azure": at_azure, "gcp": at_gcp}[os.environ["BEANFT_PROVIDER"]]())
    except ValueError as problem:
        sys.exit(f"beanft: {problem}")
