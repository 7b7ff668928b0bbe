"""GCP, the store for backups: a bucket that is what it has to be, rights to it, and gone only when that is said."""

from __future__ import annotations

import os
import shutil
import subprocess
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.cloud import gcp_fake, gcp_storage
from tests.cloud.stand_in import ROOT, Fleet, Gcp, Run
from tests.cloud.tunnel import Fault, Item

FLEET: Fleet = {
    "m": {"groups": ["managers", "edge"]},
    "w": {"groups": ["workers"]},
    "d": {"groups": ["data"]},
}
NAME = "jenkins"
BUCKET = "a-bucket-of-the-tests"
ACCOUNT = f"beanft-{NAME}-data@{gcp_fake.PROJECT}.iam.gserviceaccount.com"
MEMBER = f"serviceAccount:{ACCOUNT}"
SCOPES = ["https://www.googleapis.com/auth/devstorage.read_write"]
FOLDER = f'resource.name.startsWith("projects/_/buckets/{BUCKET}/objects/backups/")'
OPTIONS = yaml.safe_load(
    (ROOT / "ansible/inventories/gcp/group_vars/all/backup.yml").read_text(encoding="utf-8")
)["backup_store_options"]
DAY_SECONDS = 24 * 60 * 60


def provision(gcp: Gcp, *arguments: str, store: str = BUCKET, **more: Any) -> Run:
    """Make the environment, with a store."""
    return gcp.play(
        "provision",
        *arguments,
        environment=NAME,
        fleet=FLEET,
        settings={"beanft_store": store},
        AGREED=NAME,
        **more,
    )


def destroy(gcp: Gcp, **more: str) -> Run:
    """Remove the environment."""
    settings = {"beanft_store": BUCKET}
    return gcp.play("destroy", environment=NAME, settings=settings, AGREED=NAME, **more)


def accounts(gcp: Gcp) -> dict[str, list[Item]]:
    """Return as whom each machine may do what."""
    found = gcp.fake.named("instances")
    return {
        name.rpartition("-")[2]: item.get("serviceAccounts", []) for name, item in found.items()
    }


def rights(gcp: Gcp, bucket: str = BUCKET) -> dict[str, str]:
    """Return what the account of machines with data may do with a bucket, and on which condition."""
    return {
        item["role"].removeprefix("roles/storage."): item.get("condition", {}).get("expression", "")
        for item in gcp.fake.storage.policies[bucket]["bindings"]
        if MEMBER in item["members"]
    }


def members(gcp: Gcp) -> set[str]:
    """Return who may do anything with the bucket."""
    bindings = gcp.fake.storage.policies[BUCKET]["bindings"]
    return {name for item in bindings for name in item["members"]}


def test_without_a_store_cloud_storage_is_not_asked(gcp: Gcp) -> None:
    done = provision(gcp, store="")
    assert done.code == 0, done.said
    assert not {"GET buckets", "POST buckets", "GET serviceAccounts"} & set(gcp.fake.calls)
    assert accounts(gcp) == {"m1": [], "w1": [], "d1": []}


@pytest.mark.parametrize(
    ("store", "sentence"),
    [
        ("No_Bucket", "its name is 3 to 63 small letters, digits and hyphens"),
        (gcp_storage.ELSEWHERE, "has no label beanft-environment=jenkins in this project"),
        ("unlabelled", "has no label beanft-environment=jenkins in this project"),
    ],
)
def test_what_can_not_be_is_refused(gcp: Gcp, store: str, sentence: str) -> None:
    gcp.fake.storage.buckets["unlabelled"] = {"name": "unlabelled"}
    done = provision(gcp, store=store)
    del gcp.fake.storage.buckets["unlabelled"]
    assert done.code != 0
    assert sentence in done.sentence
    assert gcp.fake.storage.buckets == {}


def test_check_mode_says_what_would_be_made(gcp: Gcp) -> None:
    done = provision(gcp, "--check")
    assert done.code == 0, done.said
    assert f"make bucket {BUCKET}" in done.sentence
    assert (gcp.fake.storage.buckets, gcp.fake.accounts.accounts) == ({}, {})


def test_a_right_that_lacks_is_named(gcp: Gcp) -> None:
    message = "someone does not have storage.buckets.create access to the Google Cloud project."
    gcp.fake.faults = [Fault("POST buckets", 403, "forbidden", message, 99)]
    done = provision(gcp)
    assert done.code != 0
    assert message in done.sentence


def test_machines_from_before_the_store_are_named(gcp: Gcp) -> None:
    done = provision(gcp)
    assert done.code != 0
    assert f"beanft-{NAME}-d1 and beanft-{NAME}-m1 may not use the bucket" in done.sentence
    # What the page says is done to them.
    for name in ("d1", "m1"):
        gcp.fake.named("instances")[f"beanft-{NAME}-{name}"]["serviceAccounts"] = [
            {"email": ACCOUNT, "scopes": SCOPES}
        ]
    again = provision(gcp)
    assert (again.code, again.changed) == (0, 0), again.said
    assert "nothing to make or remove" in again.said


def test_the_bucket_is_private_and_keeps_what_was_removed(gcp: Gcp) -> None:
    bucket = gcp.fake.storage.buckets[BUCKET]
    assert bucket["location"] == "europe-west3"
    assert bucket["iamConfiguration"] == {
        "uniformBucketLevelAccess": {"enabled": True},
        "publicAccessPrevention": "enforced",
    }
    kept = bucket["softDeletePolicy"]["retentionDurationSeconds"]
    assert kept == str(30 * DAY_SECONDS)
    # What there is never goes by its age.
    assert "lifecycle" not in bucket
    assert bucket["labels"]["beanft-environment"] == NAME


def test_what_was_changed_by_hand_is_put_back(gcp: Gcp) -> None:
    bucket = gcp.fake.storage.buckets[BUCKET]
    bucket["iamConfiguration"]["publicAccessPrevention"] = "inherited"
    bucket["labels"]["theirs"] = "x"
    gcp.fake.storage.policies[BUCKET]["bindings"] += [
        {"role": "roles/storage.admin", "members": [MEMBER, "user:ops@example.com"]}
    ]
    done = provision(gcp)
    assert done.code == 0, done.said
    assert bucket["iamConfiguration"]["publicAccessPrevention"] == "enforced"
    assert bucket["labels"]["theirs"] == "x"
    assert rights(gcp) == {"legacyBucketReader": "", "objectUser": FOLDER}
    others = {
        (item["role"], member)
        for item in gcp.fake.storage.policies[BUCKET]["bindings"]
        for member in item["members"]
        if member != MEMBER
    }
    assert others == {
        ("roles/storage.legacyBucketOwner", f"projectOwner:{gcp_fake.PROJECT}"),
        ("roles/storage.admin", "user:ops@example.com"),
    }


def test_somebody_elses_change_of_the_policy_is_not_lost(gcp: Gcp) -> None:
    """It comes between reading the policy and writing it."""
    policy = gcp.fake.storage.policies[BUCKET]
    policy["bindings"] = [item for item in policy["bindings"] if MEMBER not in item["members"]]
    gcp.fake.before["PUT /iam"] = lambda: gcp.fake.storage.policies[BUCKET].update(etag="theirs")
    done = provision(gcp)
    assert done.code != 0
    assert "The policy was changed in between" in done.sentence
    again = provision(gcp)
    assert again.code == 0, again.said
    assert rights(gcp) == {"legacyBucketReader": "", "objectUser": FOLDER}


def test_machines_with_data_alone_may_use_it(gcp: Gcp) -> None:
    data = [{"email": ACCOUNT, "scopes": SCOPES}]
    assert accounts(gcp) == {"m1": data, "w1": [], "d1": data}


def test_a_machine_made_anew_has_the_account(gcp: Gcp) -> None:
    name = f"beanft-{NAME}-d1"
    path = next(key for key in gcp.fake.items if key.endswith(f"/instances/{name}"))
    gcp.fake.delete(path, gcp.fake.items[path])
    done = provision(gcp)
    assert done.code == 0, done.said
    assert accounts(gcp)["d1"] == [{"email": ACCOUNT, "scopes": SCOPES}]


def test_another_bucket_takes_the_rights_along(gcp: Gcp) -> None:
    done = provision(gcp, store="another-of-the-tests")
    assert done.code == 0, done.said
    assert rights(gcp) == {}
    assert set(rights(gcp, "another-of-the-tests")) == {"legacyBucketReader", "objectUser"}
    back = provision(gcp)
    assert back.code == 0, back.said
    assert rights(gcp, "another-of-the-tests") == {}


@pytest.fixture
def metadata() -> Iterator[str]:
    """Serve a machine's token as its metadata server does: "Authenticate workloads to Google APIs"."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            """Answer who asks as it has to be asked."""
            token = b'{"access_token": "%s", "expires_in": 3600, "token_type": "Bearer"}'
            body = (
                token % gcp_fake.TOKEN.encode()
                if self.path.partition("?")[0].endswith("token")
                else b""
            )
            self.send_response(200 if self.headers["Metadata-Flavor"] == "Google" else 403)
            self.send_header("Metadata-Flavor", "Google")
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *arguments: object) -> None:  # noqa: A002
            """Say nothing."""

    server = HTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()


def test_rclone_copies_there_by_the_machines_account(
    gcp: Gcp, metadata: str, tmp_path: Path
) -> None:
    """By Debian's rclone and the options that machines get, with no key of anybody's."""
    if not shutil.which("rclone"):
        install = ["apt-get", "install", "-y", "-qq", "--no-install-recommends", "rclone"]
        subprocess.run(install, check=True, stdout=subprocess.DEVNULL)
    lines = [f"{key} = {str(value).lower()}" for key, value in OPTIONS.items()]
    config = tmp_path / "rclone.conf"
    config.write_text("\n".join(["[store]", *lines, ""]))
    here, back = tmp_path / "here", tmp_path / "back"
    (here / "data").mkdir(parents=True)
    (here / "config").write_bytes(b"\r\n\r\nof a repository\r\n")
    (here / "data" / "of two megabytes").write_bytes(os.urandom(2_000_000))
    there = f"store:{BUCKET}/backups/m1"

    def rclone(*arguments: str) -> str:
        done = subprocess.run(
            ["rclone", *arguments],
            env={
                "PATH": os.environ["PATH"],
                "RCLONE_CONFIG": str(config),
                "GCE_METADATA_HOST": metadata,
                "HTTPS_PROXY": gcp.fake.url,
                "SSL_CERT_FILE": str(gcp.fake.authority),
                "HOME": str(tmp_path),
            },
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    rclone("sync", str(here), there)
    assert set(gcp.fake.storage.objects[BUCKET]) == {
        "backups/m1/config",
        "backups/m1/data/of two megabytes",
    }
    rclone("copy", there, str(back))
    for path in ("config", "data/of two megabytes"):
        assert (back / path).read_bytes() == (here / path).read_bytes()
    (here / "data" / "of two megabytes").unlink()
    rclone("sync", str(here), there)
    assert rclone("lsf", "--recursive", there).split() == ["config"]


def test_the_store_outlives_the_machines(gcp: Gcp) -> None:
    done = destroy(gcp)
    assert done.code == 0, done.said
    assert f"keep bucket {BUCKET}" in done.sentence
    assert gcp.fake.storage.objects[BUCKET]
    assert gcp.fake.accounts.accounts == {}


def test_an_environment_made_anew_has_its_store(gcp: Gcp) -> None:
    first = provision(gcp)
    assert first.code == 0, first.said
    assert f"make bucket {BUCKET}" not in first.sentence
    assert rights(gcp) == {"legacyBucketReader": "", "objectUser": FOLDER}
    assert not [name for name in members(gcp) if name.startswith("deleted:")]
    gcp.note("gcp store for 3 machines, changed first", first.changed, "")
    again = provision(gcp)
    assert (again.code, again.changed) == (0, 0), again.said
    gcp.note("gcp store, changed again", again.changed, "", 0)


def test_it_goes_when_that_is_said(gcp: Gcp) -> None:
    first = destroy(gcp, DISKS="remove")
    assert first.code == 0, first.said
    assert f"remove bucket {BUCKET}, with the backups in it" in first.sentence
    assert gcp.fake.storage.buckets == {}
    assert gcp.fake.accounts.accounts == {}
    again = destroy(gcp, DISKS="remove")
    assert (again.code, again.changed) == (0, 0), again.said
    gcp.note("gcp store destroyed, changed again", again.changed, "", 0)
