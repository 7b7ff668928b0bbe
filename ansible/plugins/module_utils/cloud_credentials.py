"""Who asks a cloud: its client's credentials as everything here takes them, and the sentence where there are none.

Used by programs in bin/ and by secret_stores, on the control machine only. Each cloud's library is imported where it is
used: it takes half a second, and Azure's is not everywhere.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Any

MISSING_AWS = (
    "there are no AWS credentials: set AWS_PROFILE, or AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY,"
    " or run on a machine that has a role"
)
MISSING_GCP = (
    "there are no GCP credentials: set GCP_AUTH_KIND to application, serviceaccount (with"
    " GCP_SERVICE_ACCOUNT_FILE), machineaccount or accesstoken (with GCP_ACCESS_TOKEN)"
)
MISSING_AZURE = (
    "there are no Azure credentials: set AZURE_SUBSCRIPTION_ID, AZURE_TENANT, AZURE_CLIENT_ID and AZURE_SECRET,"
    " or none of them and log in with 'az login'"
)


def google_credentials(scope: str) -> Any:
    """Return what GCP_AUTH_KIND names, as Google's modules take it.

    Raises:
        ValueError: it names nothing that is there.
    """
    import google.auth
    import google.auth.compute_engine
    import google.oauth2.credentials
    import google.oauth2.service_account

    # Classes without types.
    of_account: Any = google.oauth2.service_account.Credentials
    of_machine: Any = google.auth.compute_engine.Credentials
    of_bearer: Any = google.oauth2.credentials.Credentials
    kind, file = os.environ.get("GCP_AUTH_KIND"), os.environ.get("GCP_SERVICE_ACCOUNT_FILE")
    token = os.environ.get("GCP_ACCESS_TOKEN")
    if kind == "application":
        return google.auth.default(scopes=[scope])[0]
    if kind == "serviceaccount" and file:
        return of_account.from_service_account_file(file, scopes=[scope])
    if kind == "machineaccount":
        return of_machine()
    if kind == "accesstoken" and token:
        return of_bearer(token)
    raise ValueError(MISSING_GCP)


def azure_credentials() -> Any:
    """Return what AZURE_TENANT, AZURE_CLIENT_ID and AZURE_SECRET name, or without them who is logged in with `az`.

    Raises:
        ValueError: only some of them are set, or Azure's packages are not here.
    """
    # Where bin/tools puts them: first, so that they are those of one lock file.
    packages = Path(sys.prefix, "azure")
    if packages.is_dir() and str(packages) not in sys.path:
        sys.path.insert(0, str(packages))
    try:
        from azure.identity import AzureCliCredential, ClientSecretCredential
    except ImportError:
        raise ValueError(
            "Azure's packages are not here: run 'make tools SECRET_STORE=azure'"
        ) from None
    names = ("AZURE_TENANT", "AZURE_CLIENT_ID", "AZURE_SECRET")
    values = [os.environ.get(name) for name in names]
    if all(values):
        # By default it would try ten times, which takes minutes.
        return ClientSecretCredential(*values, retry_total=2, connection_timeout=10)
    if any(values):
        raise ValueError(MISSING_AZURE)
    return AzureCliCredential()
