"""AWS, the store for backups: a bucket that is what it has to be, rights to it, and gone only when that is said."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.cloud.aws_faults import Fault
from tests.cloud.stand_in import Aws, Fleet, Run, undocumented

FLEET: Fleet = {
    "m": {"groups": ["managers", "edge"]},
    "w": {"groups": ["workers"]},
    "d": {"groups": ["data"]},
}
NAME = "jenkins"
BUCKET = "a-bucket-of-the-tests"
ARN = f"arn:aws:s3:::{BUCKET}"
MACHINES = {name: f"beanft-{NAME}-{name}" for name in ("m1", "w1", "d1")}
OTHER = {"Effect": "Allow", "Action": "ssm:GetParameter", "Resource": "*"}


def provision(aws: Aws, *arguments: str, store: str = BUCKET, **more: Any) -> Run:
    """Make the environment, with a store."""
    settings = {"beanft_store": store, **more.pop("settings", {})}
    return aws.play(
        "provision",
        *arguments,
        environment=NAME,
        fleet=FLEET,
        settings=settings,
        AGREED=NAME,
        **more,
    )


def destroy(aws: Aws, **more: str) -> Run:
    """Remove the environment."""
    settings = {"beanft_store": BUCKET}
    return aws.play("destroy", environment=NAME, settings=settings, AGREED=NAME, **more)


def buckets(aws: Aws) -> list[str]:
    """Return the names of all buckets."""
    s3 = aws.client("s3")
    names = [item["Name"] for item in s3.list_buckets()["Buckets"]]
    s3.close()
    return names


def profiles(aws: Aws) -> dict[str, str]:
    """Return by which profile machines have their rights: of the association, which is what counts."""
    ec2 = aws.client("ec2")
    found = ec2.describe_iam_instance_profile_associations()["IamInstanceProfileAssociations"]
    ec2.close()
    by_id = {
        item["InstanceId"]: item["IamInstanceProfile"]["Arn"].split("/")[-1]
        for item in found
        if item["State"] == "associated"
    }
    machines = aws.instances(NAME)
    return {name: by_id[machines[full]["InstanceId"]] for name, full in MACHINES.items()}


def rights(aws: Aws) -> list[dict[str, Any]]:
    """Return what machines with data may do."""
    iam = aws.client("iam")
    role = f"beanft-{NAME}-data"
    (name,) = iam.list_role_policies(RoleName=role)["PolicyNames"]
    document = iam.get_role_policy(RoleName=role, PolicyName=name)["PolicyDocument"]
    iam.close()
    return list(document["Statement"])


def open_to_the_stand_in(aws: Aws) -> None:
    """Take away the policy that refuses what is without TLS: moto judges no conditions, and would refuse all."""
    s3 = aws.client("s3")
    s3.delete_bucket_policy(Bucket=BUCKET)
    s3.close()


def test_without_a_store_s3_is_not_asked(aws: Aws) -> None:
    done = provision(aws, store="")
    assert done.code == 0, done.said
    assert not [call for call in aws.proxy.calls if call.startswith("s3:")]
    assert set(profiles(aws).values()) == {f"beanft-{NAME}"}


@pytest.mark.parametrize(
    ("store", "sentence"),
    [
        ("No_Bucket", "a bucket's name is 3 to 63 small letters, digits and hyphens"),
        ("of-somebody-else", "and has no tag beanft-environment=jenkins, so it is not this"),
    ],
)
def test_a_bucket_that_can_not_be_ours_is_refused(aws: Aws, store: str, sentence: str) -> None:
    s3 = aws.client("s3")
    s3.create_bucket(
        Bucket="of-somebody-else",
        CreateBucketConfiguration={"LocationConstraint": "eu-central-1"},
    )
    done = provision(aws, store=store)
    s3.delete_bucket(Bucket="of-somebody-else")
    s3.close()
    assert done.code != 0
    assert sentence in done.sentence


def test_check_mode_says_what_would_be_made(aws: Aws) -> None:
    done = provision(aws, "--check")
    assert done.code == 0, done.said
    assert f"make bucket {BUCKET}" in done.sentence
    assert buckets(aws) == []


def test_a_right_that_lacks_is_named(aws: Aws) -> None:
    message = "User: arn:aws:iam::1:user/x is not authorized to perform: s3:CreateBucket"
    aws.proxy.faults = [Fault("CreateBucket", 403, "AccessDenied", message, 99)]
    done = provision(aws)
    aws.proxy.faults.clear()
    assert done.code != 0
    assert message in done.sentence


def test_a_store_for_machines_that_are_there(aws: Aws) -> None:
    first = provision(aws)
    assert first.code == 0, first.said
    aws.note("aws store for 3 machines, changed first", first.changed, "")


def test_the_bucket_is_private_versioned_and_encrypted(aws: Aws) -> None:
    s3 = aws.client("s3")
    assert s3.get_bucket_versioning(Bucket=BUCKET)["Status"] == "Enabled"
    (rule,) = s3.get_bucket_encryption(Bucket=BUCKET)["ServerSideEncryptionConfiguration"]["Rules"]
    assert rule["ApplyServerSideEncryptionByDefault"]["SSEAlgorithm"] == "AES256"
    block = s3.get_public_access_block(Bucket=BUCKET)["PublicAccessBlockConfiguration"]
    assert set(block.values()) == {True}
    assert len(block) == 4
    (owner,) = s3.get_bucket_ownership_controls(Bucket=BUCKET)["OwnershipControls"]["Rules"]
    assert owner["ObjectOwnership"] == "BucketOwnerEnforced"
    policy = json.loads(s3.get_bucket_policy(Bucket=BUCKET)["Policy"])
    (statement,) = policy["Statement"]
    assert statement["Effect"] == "Deny"
    assert statement["Condition"] == {"Bool": {"aws:SecureTransport": "false"}}
    assert statement["Resource"] == [ARN, f"{ARN}/*"]
    (cycle,) = s3.get_bucket_lifecycle_configuration(Bucket=BUCKET)["Rules"]
    assert cycle["Status"] == "Enabled"
    assert cycle["NoncurrentVersionExpiration"]["NoncurrentDays"] == 30
    # What there is never goes by its age.
    assert "Days" not in cycle.get("Expiration", {})
    tags = {item["Key"]: item["Value"] for item in s3.get_bucket_tagging(Bucket=BUCKET)["TagSet"]}
    assert tags["beanft-environment"] == NAME
    s3.close()


def test_machines_with_data_alone_may_use_it(aws: Aws) -> None:
    data = f"beanft-{NAME}-data"
    assert profiles(aws) == {"m1": data, "w1": f"beanft-{NAME}", "d1": data}
    assert rights(aws) == [
        {"Effect": "Allow", "Action": "s3:ListBucket", "Resource": ARN},
        {
            "Effect": "Allow",
            "Action": ["s3:GetObject", "s3:PutObject", "s3:PutObjectAcl", "s3:DeleteObject"],
            "Resource": f"{ARN}/backups/*",
        },
    ]


def test_other_rights_are_theirs_too(aws: Aws) -> None:
    policy = {"Version": "2012-10-17", "Statement": [OTHER]}
    done = provision(aws, settings={"cloud_aws_policy": policy})
    assert done.code == 0, done.said
    assert rights(aws)[0] == OTHER
    assert len(rights(aws)) == 3


def test_a_machine_made_anew_has_the_right(aws: Aws) -> None:
    ec2 = aws.client("ec2")
    ec2.terminate_instances(InstanceIds=[aws.instances(NAME)[MACHINES["d1"]]["InstanceId"]])
    ec2.close()
    done = provision(aws)
    assert done.code == 0, done.said
    machine = aws.instances(NAME)[MACHINES["d1"]]
    assert machine["IamInstanceProfile"]["Arn"].endswith(f"/beanft-{NAME}-data")


def test_the_store_outlives_the_machines(aws: Aws) -> None:
    open_to_the_stand_in(aws)
    s3 = aws.client("s3")
    for content in (b"one", b"another"):
        s3.put_object(Bucket=BUCKET, Key="backups/m1/config", Body=content)
    s3.delete_object(Bucket=BUCKET, Key="backups/m1/config")
    done = destroy(aws)
    assert done.code == 0, done.said
    assert f"keep bucket {BUCKET}" in done.sentence
    assert buckets(aws) == [BUCKET]
    versions = s3.list_object_versions(Bucket=BUCKET)
    assert (len(versions["Versions"]), len(versions["DeleteMarkers"])) == (2, 1)
    s3.close()


def test_an_environment_made_anew_has_its_store(aws: Aws) -> None:
    first = provision(aws)
    assert first.code == 0, first.said
    assert f"make bucket {BUCKET}" not in first.sentence
    # Of machines that were there before the store this stand-in goes on telling the profile of before.
    again = provision(aws)
    assert again.code == 0, again.said
    assert again.changed == 0, again.said
    assert "nothing to make or remove" in again.said
    aws.note("aws store, changed again", again.changed, "", 0)
    assert destroy(aws).code == 0


def test_it_goes_when_that_is_said(aws: Aws) -> None:
    open_to_the_stand_in(aws)
    first = destroy(aws, DISKS="remove")
    assert first.code == 0, first.said
    assert f"remove bucket {BUCKET}, with the backups in it" in first.sentence
    assert buckets(aws) == []
    iam = aws.client("iam")
    assert not [item for item in iam.list_roles()["Roles"] if NAME in item["RoleName"]]
    iam.close()
    again = destroy(aws, DISKS="remove")
    assert again.code == 0, again.said
    assert again.changed == 0, again.said
    aws.note("aws store destroyed, changed again", again.changed, "", 0)


def test_what_is_asked_of_the_account_is_documented(aws: Aws) -> None:
    assert undocumented(aws) == []
