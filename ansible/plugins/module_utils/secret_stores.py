"""Secret managers of clouds: each keeps an environment's secrets as one secret, whose versions the cloud counts.

Used by vault_file, on the control machine only. `named` returns a store. `read` returns the text and its version, and
`write` puts another in its place if it still has the version that the writer has read. Of two who write at once one
succeeds and the other is told so, by what each cloud has for that: AWS moves the label AWSCURRENT only away from the
version that the writer names, GCP takes a new alias only with the etag of before, and in Azure, which has neither, each
version says which one it follows, and of two that follow the same one the earlier counts.

Each cloud's library is imported where it is used: it takes half a second, and Azure's is not everywhere.
"""

from __future__ import annotations

import base64
import contextlib
import functools
import logging
import os
import re
import time
from collections.abc import Iterable
from types import MappingProxyType
from typing import Any

import requests
from cloud_credentials import MISSING_AWS, MISSING_GCP, azure_credentials, google_credentials
from requests.adapters import HTTPAdapter
from urllib3.util import Retry
from vault_file import VaultProblem

CONNECT_SECONDS, READ_SECONDS = 10, 20
RIGHTS = "docs/clouds.md lists the rights that are needed"


class Store:
    """One secret of a cloud's secret manager."""

    title: str
    owner: str
    most_bytes: int
    setting: str
    """The environment variable that says where the secret is, if nothing else does."""
    form: str
    """What its value looks like."""

    def __init__(self, secret: str, place: str = "") -> None:
        self.secret = secret
        self.place = place or self.default_place()
        # It becomes a part of an address.
        if not re.fullmatch(r"[A-Za-z0-9:.-]+", self.place):
            raise VaultProblem(
                f"it is not said where in {self.title} the secrets are: set {self.setting}, {self.form}"
            )

    def __str__(self) -> str:
        return f"secret {self.secret} of {self.title} in {self.place}"

    def default_place(self) -> str:
        """Return where secrets are as the environment has it, or ''."""
        return os.environ.get(self.setting, "")

    def read(self) -> tuple[str, str] | None:
        """Return the text and its version; None where there is no such secret.

        Raises:
            VaultProblem: it can't be told; the message is one sentence.
        """
        raise NotImplementedError

    def write(self, text: str, follows: str | None) -> None:
        """Replace the version that `follows` names, or make the secret where that is None.

        Raises:
            VaultProblem: somebody else was quicker, or it can't be done; the message is one sentence.
        """
        size = len(text.encode())
        if size > self.most_bytes:
            raise VaultProblem(
                f"the secrets have {size} bytes, and {self.title} takes {self.most_bytes} as one secret: make them "
                "smaller by 'bin/vault edit', or keep them in a vault by 'bin/vault move vault'; nothing was changed"
            )
        self.put(text, follows)

    def put(self, text: str, follows: str | None) -> None:
        """Do what `write` says with a text that is not too long."""
        raise NotImplementedError

    def overtaken(self) -> VaultProblem:
        """Return what to say to whoever writes what somebody else has changed meanwhile."""
        return VaultProblem(
            f"somebody else has changed {self} meanwhile: theirs counts, and yours was not taken; run the same again"
        )

    def denied(self, why: str) -> VaultProblem:
        """Return what to say to whoever may not do this."""
        return VaultProblem(f"{self.owner} does not let you use {self} ({why}): {RIGHTS}")

    def not_known(self, why: str) -> VaultProblem:
        """Return what to say to whoever has credentials that are not taken."""
        return VaultProblem(
            f"{self.owner} does not take these credentials for {self} ({why}): get new ones"
        )

    def silent(self, why: object) -> VaultProblem:
        """Return what to say where nobody answers."""
        return VaultProblem(
            f"{self} is out of reach ({first_line(why)}): is this machine online, and does a proxy let it there?"
        )

    def failed(self, why: str) -> VaultProblem:
        """Return what to say to what the cloud refuses for another reason."""
        return VaultProblem(f"{self} can't be used: {self.owner} says {why}")


class Aws(Store):
    """AWS Secrets Manager. A new version comes with a label of ours, and then AWSCURRENT is moved to it."""

    title, owner, most_bytes = "AWS Secrets Manager", "AWS", 65_536
    setting, form = "AWS_REGION", "as eu-central-1"
    next_label = "BEANFT-NEXT"

    def default_place(self) -> str:
        """Return the region as the inventory takes it."""
        return os.environ.get("AWS_REGION") or os.environ.get("AWS_DEFAULT_REGION") or ""

    def read(self) -> tuple[str, str] | None:
        """Return the text that has the label AWSCURRENT, and its version."""
        answer, code = self.call("get_secret_value", VersionStage="AWSCURRENT")
        if code == "ResourceNotFoundException":
            return None
        if "SecretString" not in answer:
            raise self.failed("that it holds no text")
        return answer["SecretString"], answer["VersionId"]

    def put(self, text: str, follows: str | None) -> None:
        """Make the secret, or a version of it that becomes the current one."""
        if follows is None:
            _, code = self.call("create_secret", Name=self.secret, SecretString=text)
            if code:
                raise self.overtaken()
            return
        answer, code = self.call(
            "put_secret_value", SecretString=text, VersionStages=[self.next_label]
        )
        if code:
            raise self.overtaken()
        new = answer["VersionId"]
        _, code = self.call(
            "update_secret_version_stage",
            VersionStage="AWSCURRENT",
            MoveToVersionId=new,
            RemoveFromVersionId=follows,
        )
        # Refused also where the answer to the first try was lost, and the second one came too late.
        if code and (self.read() or ("", ""))[1] != new:
            raise self.overtaken()

    def call(self, verb: str, **values: Any) -> tuple[dict[str, Any], str]:
        """Make a call; return the answer, or the code of an error that says what there is and what not."""
        from botocore.exceptions import (
            BotoCoreError,
            ClientError,
            ConnectionError,  # noqa: A004 - botocore's
            HTTPClientError,
            NoCredentialsError,
            ProfileNotFound,
        )

        expected = {
            "get_secret_value": "ResourceNotFoundException",
            "create_secret": "ResourceExistsException",
            "put_secret_value": "ResourceNotFoundException",
            "update_secret_version_stage": "InvalidParameterException",
        }
        if verb != "create_secret":
            values["SecretId"] = self.secret
        try:
            with contextlib.closing(self.client()) as client:
                return getattr(client, verb)(**values), ""
        except ClientError as error:
            code, said = error.response["Error"]["Code"], error.response["Error"].get("Message", "")
            if code == expected[verb]:
                return {}, code
            why = f"{code}: {said}"
            if "AccessDenied" in code:
                raise self.denied(why) from None
            if re.search("UnrecognizedClient|InvalidSignature|InvalidClientToken|Expired", code):
                raise self.not_known(why) from None
            raise self.failed(why) from None
        except ProfileNotFound as error:
            raise VaultProblem(f"{error}: set AWS_PROFILE to one of ~/.aws/config") from None
        except NoCredentialsError:
            raise VaultProblem(MISSING_AWS) from None
        except (ConnectionError, HTTPClientError) as error:
            raise self.silent(error) from None
        except BotoCoreError as error:
            raise self.failed(first_line(error)) from None

    def client(self) -> Any:
        """Return AWS's client."""
        import boto3
        from botocore.config import Config

        session = boto3.Session()
        if session.get_credentials() is None:
            raise VaultProblem(MISSING_AWS)
        patience = Config(
            connect_timeout=CONNECT_SECONDS,
            read_timeout=READ_SECONDS,
            retries={"mode": "standard", "total_max_attempts": 3},
        )
        return session.client("secretsmanager", region_name=self.place, config=patience)


class Web(Store):
    """A secret manager that is asked by REST, with credentials of its cloud's library."""

    def session(self) -> requests.Session:
        """Return a session that says who asks."""
        raise NotImplementedError

    def call(
        self, method: str, url: str, *, expected: Iterable[int] = (404,), **options: Any
    ) -> tuple[dict[str, Any], int]:
        """Make a call; return the answer, or an expected status that says what there is and what not."""
        with self.session() as session:
            # Again only where nothing was done, lest a version is made twice.
            retries = Retry(
                total=3,
                read=0,
                connect=1,
                backoff_factor=0.5,
                status_forcelist=(429, 503),
                allowed_methods=None,
                raise_on_status=False,
            )
            session.mount("https://", HTTPAdapter(max_retries=retries))
            try:
                answer = session.request(
                    method, url, timeout=(CONNECT_SECONDS, READ_SECONDS), **options
                )
                content = answer.json() if answer.content else {}
            except requests.JSONDecodeError:
                content = {}
            except (requests.RequestException, OSError) as error:
                raise self.silent(reason(error)) from None
        if answer.ok:
            return content, 0
        said = content.get("error", {})
        why = f"{answer.status_code}: {first_line(said.get('message', answer.reason))}"
        if answer.status_code == 401:
            raise self.not_known(why)
        if answer.status_code == 403:
            raise self.denied(why)
        if answer.status_code in expected:
            return said, answer.status_code
        raise self.failed(why)


class Gcp(Web):
    """GCP Secret Manager. The alias `current` of the secret is the version that counts."""

    title, owner, most_bytes = "GCP Secret Manager", "GCP", 65_536
    setting, form = "GCP_PROJECT", "the project's name"
    alias = "current"
    root = "https://secretmanager.googleapis.com/v1"
    scope = "https://www.googleapis.com/auth/cloud-platform"

    @property
    def url(self) -> str:
        """Where the secret is."""
        return f"{self.root}/projects/{self.place}/secrets/{self.secret}"

    def read(self) -> tuple[str, str] | None:
        """Return the text of the version with the alias; the latest, if somebody made the secret without one."""
        secret = self.find()
        if secret is None:
            return None
        version = self.current(secret)
        answer, status = self.call("GET", f"{self.url}/versions/{version or 'latest'}:access")
        if status:
            return None
        return base64.b64decode(answer["payload"]["data"]).decode(), version

    def put(self, text: str, follows: str | None) -> None:
        """Make the secret if there is none, a version of it, and move the alias to that."""
        if follows is None:
            parent, _, _ = self.url.rpartition("/")
            content: dict[str, Any] = {"replication": {"automatic": {}}}
            # One that is there may be without a version: the etag below says who was first.
            self.call(
                "POST", parent, params={"secretId": self.secret}, json=content, expected=[409]
            )
        data = base64.b64encode(text.encode()).decode()
        made, status = self.call("POST", f"{self.url}:addVersion", json={"payload": {"data": data}})
        if status:
            raise self.overtaken()
        new = made["name"].rpartition("/")[2]
        secret = self.find()
        if secret is None or self.current(secret) != (follows or ""):
            raise self.overtaken()
        aliases = {**secret.get("versionAliases", {}), self.alias: new}
        error, status = self.call(
            "PATCH",
            self.url,
            params={"updateMask": "versionAliases"},
            json={"etag": secret["etag"], "versionAliases": aliases},
            expected=[400, 404, 409],
        )
        if status == 400 and error.get("status") != "FAILED_PRECONDITION":
            raise self.failed(f"400: {first_line(error.get('message', ''))}")
        # Refused also where the answer to the first try was lost, and the second one came too late.
        if status and self.current(self.find() or {}) != new:
            raise self.overtaken()

    def find(self) -> dict[str, Any] | None:
        """Return the secret, without what is secret."""
        secret, status = self.call("GET", self.url)
        return None if status else secret

    def current(self, secret: dict[str, Any]) -> str:
        """Return the version that counts, or '' where none was chosen yet."""
        return str(secret.get("versionAliases", {}).get(self.alias, ""))

    def session(self) -> requests.Session:
        """Return Google's session."""
        from google.auth.transport.requests import AuthorizedSession

        authorized: Any = AuthorizedSession
        # A refused token is refused; the client would ask for another one first.
        session: requests.Session = authorized(self.credentials, refresh_status_codes=())
        return session

    @functools.cached_property
    def credentials(self) -> Any:
        """Google's credentials, with a token."""
        from google.auth.exceptions import GoogleAuthError, TransportError
        from google.auth.transport.requests import Request

        try:
            credentials = google_credentials(self.scope)
            if not credentials.token:
                credentials.refresh(Request())
        except TransportError as error:
            raise self.silent(error) from None
        except (GoogleAuthError, OSError, ValueError) as error:
            why = first_line(error)
            missing = why == MISSING_GCP
            raise VaultProblem(
                why if missing else f"the credentials of GCP can't be used ({why}): get new ones"
            ) from None
        return credentials


class Azure(Web):
    """Azure Key Vault. Each version has the tag `follows`; see `in_force`."""

    title, owner, most_bytes = "Azure Key Vault", "Azure", 25_000
    setting, form = "AZURE_KEY_VAULT", "the key vault's name"
    api = MappingProxyType({"api-version": "7.4"})
    scope = "https://vault.azure.net/.default"
    # Azure says in whole seconds when a version was made: so long is waited until those of one second are all there.
    settled = 2.0

    @property
    def url(self) -> str:
        """Where the secret is."""
        return f"https://{self.place}.vault.azure.net/secrets/{self.secret}"

    def read(self) -> tuple[str, str] | None:
        """Return the text of the version in force."""
        version = in_force(self.versions())
        if version is None:
            return None
        answer, status = self.call("GET", f"{self.url}/{version}", params=self.api)
        return None if status else (answer["value"], version)

    def put(self, text: str, follows: str | None) -> None:
        """Make a version, and see whether it is in force."""
        if in_force(self.versions()) != follows:
            raise self.overtaken()
        content = {
            "value": text,
            "contentType": "application/yaml",
            "tags": {"follows": follows or NOTHING},
        }
        made, _ = self.call("PUT", self.url, params=self.api, json=content, expected=())
        new = made["id"].rpartition("/")[2]
        time.sleep(self.settled)
        if in_force(self.versions()) != new:
            # What other tools take for the newest is not what counts.
            off = {"attributes": {"enabled": False}}
            self.call("PATCH", f"{self.url}/{new}", params=self.api, json=off)
            raise self.overtaken()

    def versions(self) -> list[dict[str, Any]]:
        """Return all versions, without what is secret."""
        found: list[dict[str, Any]] = []
        page, _ = self.call("GET", f"{self.url}/versions", params=self.api)
        while True:
            found += page.get("value", [])
            if not page.get("nextLink"):
                return found
            page, _ = self.call("GET", page["nextLink"])

    def session(self) -> requests.Session:
        """Return a session with a token of Azure's library."""
        session = requests.Session()
        session.headers["Authorization"] = f"Bearer {self.token}"
        return session

    @functools.cached_property
    def token(self) -> str:
        """A token for key vaults."""
        try:
            credentials = azure_credentials()
        except ValueError as error:
            raise VaultProblem(str(error)) from None
        # It also logs what is raised.
        logging.getLogger("azure").setLevel(logging.CRITICAL)
        from azure.core.exceptions import AzureError, ClientAuthenticationError
        from azure.identity import CredentialUnavailableError

        try:
            with credentials:
                return str(credentials.get_token(self.scope).token)
        except CredentialUnavailableError as error:
            raise VaultProblem(
                f"there are no Azure credentials ({first_line(error)}): set AZURE_TENANT, AZURE_CLIENT_ID and "
                "AZURE_SECRET, or log in with 'az login'"
            ) from None
        except AzureError as error:
            # What Azure refuses has such a number; a network that fails is told by the same exception.
            refused = isinstance(error, ClientAuthenticationError) and "AADSTS" in str(error)
            why = first_line(error)
            raise (self.not_known(why) if refused else self.silent(why)) from None


NOTHING = "nothing"


def in_force(versions: list[dict[str, Any]]) -> str | None:
    """Return which version of an Azure Key Vault's secret counts, or None.

    Each version says which one it follows. Of several that follow the same one, which were written at once, the
    earlier counts, and what follows the others does not. A version that says nothing is one that a person has made:
    the last of those is where it begins. One that was switched off does not count.
    """

    def made(version: dict[str, Any]) -> tuple[int, str]:
        return version["attributes"]["created"], version["id"]

    followers: dict[str, list[dict[str, Any]]] = {}
    by_hand = []
    for version in versions:
        if not version["attributes"].get("enabled", True):
            continue
        follows = (version.get("tags") or {}).get("follows")
        if follows:
            followers.setdefault(follows, []).append(version)
        else:
            by_hand.append(version)
    found = max(by_hand, key=made)["id"].rpartition("/")[2] if by_hand else NOTHING
    while found in followers:
        found = min(followers.pop(found), key=made)["id"].rpartition("/")[2]
    return None if found == NOTHING else found


STORES: dict[str, type[Store]] = {"aws": Aws, "azure": Azure, "gcp": Gcp}


def named(store: str, secret: str, place: str = "") -> Store:
    """Return the secret of a name in a store; without a place, where the environment variables say.

    Raises:
        VaultProblem: nothing says where.
    """
    return STORES[store](secret, place)


def reason(error: Exception) -> str:
    """Return in a few words why nobody answered; the library's own are the whole stack."""
    kinds = {
        requests.exceptions.ProxyError: "the proxy does not answer",
        requests.exceptions.SSLError: "its certificate is not trusted",
        requests.exceptions.Timeout: f"no answer within {READ_SECONDS} s",
    }
    return next(
        (words for kind, words in kinds.items() if isinstance(error, kind)), "no connection"
    )


def first_line(said: object) -> str:
    """Return the beginning of what a library or a cloud says, which may be a page."""
    return str(said).strip().partition("\n")[0].strip()[:300]
