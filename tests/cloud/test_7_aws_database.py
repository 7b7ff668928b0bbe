"""AWS with a managed PostgreSQL in place of group data's, from nothing to nothing."""

from __future__ import annotations

import re
from typing import Any

import pytest
import yaml

from tests.cloud.aws_faults import QUERY_ERROR, Fault
from tests.cloud.stand_in import ROOT, SHOWS_DATABASE, Aws, Fleet, Run, undocumented

FLEET: Fleet = {"m": {"groups": ["managers", "edge"]}, "d": {"groups": ["data"]}}
SMALL = {"size": "small", "disk_gb": 20, "zones": 1}
LARGER = {"size": "medium", "disk_gb": 30, "zones": 2}
NAME = "beanft-staging"
OURS = {"Key": "beanft-environment", "Value": "staging"}
SETTINGS = yaml.safe_load(
    (ROOT / "ansible/roles/cloud_aws/defaults/main.yml").read_text(encoding="utf-8")
)["cloud_aws_database_settings"]
# "DescribeDBEngineVersions" (RDS API reference), which moto does not have: those of a family, in no order.
VERSIONS = """<DescribeDBEngineVersionsResponse><DescribeDBEngineVersionsResult><DBEngineVersions>
<DBEngineVersion><Engine>postgres</Engine><EngineVersion>17.10</EngineVersion></DBEngineVersion>
<DBEngineVersion><Engine>postgres</Engine><EngineVersion>17.9</EngineVersion></DBEngineVersion>
</DBEngineVersions></DescribeDBEngineVersionsResult></DescribeDBEngineVersionsResponse>"""


def versions(asked: dict[str, list[str]], _: bytes) -> bytes:
    """Return the versions of the family that is asked for."""
    assert asked["DBParameterGroupFamily"] == ["postgres17"]
    return VERSIONS.encode()


def parameters(_: dict[str, list[str]], answer: bytes) -> bytes:
    """Return all parameters of a group, as "DescribeDBParameters" does; moto knows those alone that were set."""
    pair = r"<ParameterName>([^<]+)</ParameterName>\s*<ParameterValue>([^<]*)</ParameterValue>"
    there = dict(re.findall(pair, answer.decode()))
    each = "".join(
        f"<Parameter><ParameterName>{name}</ParameterName><DataType>string</DataType>"
        "<IsModifiable>true</IsModifiable><ApplyType>dynamic</ApplyType>"
        + (f"<ParameterValue>{there[name]}</ParameterValue>" if name in there else "")
        + "</Parameter>"
        for name in [*SETTINGS, "work_mem"]
    )
    return (
        f"<DescribeDBParametersResponse><DescribeDBParametersResult><Parameters>{each}</Parameters>"
        "</DescribeDBParametersResult></DescribeDBParametersResponse>"
    ).encode()


def groups(_: dict[str, list[str]], answer: bytes) -> bytes:
    """Return a parameter group, or "DBParameterGroupNotFound" (RDS API reference), for which moto has an empty list."""
    if b"<DBParameterGroupName>" in answer:
        return answer
    return QUERY_ERROR.format(code="DBParameterGroupNotFound", message="not found").encode()


@pytest.fixture(autouse=True)
def complete(aws: Aws) -> None:
    """What moto lacks."""
    aws.proxy.instead |= {
        "DescribeDBEngineVersions": versions,
        "DescribeDBParameterGroups": groups,
        "DescribeDBParameters": parameters,
    }


def provision(aws: Aws, *arguments: str, database: Any = SMALL, **more: str) -> Run:
    """Provision with a database; its password is in no line."""
    settings = {"beanft_databases": {"staging": database}}
    done = aws.play("provision", *arguments, fleet=FLEET, settings=settings, **more)
    shown = aws.program("vault", "edit", EDITOR="cat").said
    found = re.search(r"data_database_master_password: (\w{64})", shown)
    assert not found or found[1] not in done.said
    return done


def destroy(aws: Aws, **more: str) -> Run:
    """Destroy all; the setting is still there."""
    return aws.play("destroy", settings={"beanft_databases": {"staging": SMALL}}, **more)


def databases(aws: Aws) -> list[dict[str, Any]]:
    """Return the account's databases."""
    client = aws.client("rds")
    found = client.describe_db_instances()["DBInstances"]
    client.close()
    return list(found)


def snapshots(aws: Aws) -> list[str]:
    """Return the names of the account's snapshots that people or destroy have made."""
    client = aws.client("rds")
    found = client.describe_db_snapshots(SnapshotType="manual")["DBSnapshots"]
    client.close()
    return [item["DBSnapshotIdentifier"] for item in found]


def test_what_can_not_be_is_refused(aws: Aws) -> None:
    done = provision(aws, database={"disk_gb": 5})
    assert done.code != 0
    assert "the database of staging: disk_gb is 5: a whole number from 20 to 399" in done.sentence
    done = provision(aws, "-e", "cloud_aws_zones=1")
    assert done.code != 0
    assert "its network has to be over two zones or three" in done.sentence


def test_check_mode_says_what_would_be_made(aws: Aws) -> None:
    done = provision(aws, "--check")
    assert done.code == 0, done.said
    assert "make database, small, 20 GB, 1 zone" in done.sentence
    assert databases(aws) == []


def test_one_of_somebody_else_is_not_touched(aws: Aws) -> None:
    client = aws.client("rds")
    client.create_db_instance(
        DBInstanceIdentifier=NAME, DBInstanceClass="db.t4g.micro", Engine="postgres"
    )
    before = aws.proxy.calls.copy()
    done = provision(aws, AGREED="staging")
    assert done.code != 0
    assert "it is somebody else's; rename or remove it" in done.sentence
    assert set(aws.proxy.calls - before) <= {
        call for call in aws.proxy.calls if ":Describe" in call or ":Get" in call
    }
    client.delete_db_instance(DBInstanceIdentifier=NAME, SkipFinalSnapshot=True)
    client.close()


def test_a_quota_of_databases_is_said_and_the_next_run_completes(aws: Aws) -> None:
    quota = "Cannot exceed quota for DB instances"
    aws.proxy.faults = [
        Fault("CreateDBInstance", 400, "Throttling", "Rate exceeded"),
        Fault("CreateDBInstance", 400, "InstanceQuotaExceeded", quota, 99),
    ]
    done = provision(aws, AGREED="staging")
    assert done.code != 0
    assert quota in done.sentence
    assert "Traceback" not in done.said
    assert databases(aws) == []
    aws.proxy.faults = [Fault("CreateDBInstance", 503, "ServiceUnavailable", "is unavailable")]
    done = provision(aws, AGREED="staging")
    assert done.code == 0, done.said
    assert len(databases(aws)) == 1
    assert all(fault.times <= 0 for fault in aws.proxy.faults)


def test_again_nothing_changes(aws: Aws) -> None:
    again = provision(aws)
    assert (again.code, again.changed) == (0, 0), again.said
    checked = provision(aws, "--check")
    assert (checked.code, checked.changed) == (0, 0), checked.said
    aws.note("aws database, changed again", again.changed, "", 0)
    aws.note("aws database again", round(again.seconds, 1), "s")


def test_it_is_made_as_promised(aws: Aws) -> None:
    client, ec2 = aws.client("rds"), aws.client("ec2")
    (database,) = databases(aws)
    assert (database["DBInstanceIdentifier"], database["Engine"]) == (NAME, "postgres")
    # The newest, and not that which a comparison of texts would take.
    assert database["EngineVersion"] == "17.10"
    assert (database["DBInstanceClass"], database["MultiAZ"]) == ("db.t4g.small", False)
    assert (database["AllocatedStorage"], database["StorageType"]) == (20, "gp3")
    assert database["StorageEncrypted"]
    assert not database["PubliclyAccessible"]
    assert database["DeletionProtection"]
    assert database["BackupRetentionPeriod"] == 7
    assert database["CopyTagsToSnapshot"]
    assert OURS in database["TagList"]
    assert len(database["DBSubnetGroup"]["Subnets"]) == 3
    (group,) = database["DBParameterGroups"]
    assert group["DBParameterGroupName"] == NAME
    values = {
        item["ParameterName"]: item["ParameterValue"]
        for item in client.describe_db_parameters(DBParameterGroupName=NAME)["Parameters"]
    }
    assert values["rds.force_ssl"] == "1"
    assert values["rds.accepted_password_auth_method"] == "scram"
    # What lets in is one rule, for machines.
    (wall,) = database["VpcSecurityGroups"]
    walls = {item["GroupId"]: item for item in ec2.describe_security_groups()["SecurityGroups"]}
    (rule,) = walls[wall["VpcSecurityGroupId"]]["IpPermissions"]
    assert (rule["FromPort"], rule["ToPort"], rule["IpRanges"]) == (5432, 5432, [])
    (source,) = rule["UserIdGroupPairs"]
    assert walls[source["GroupId"]]["GroupName"] == f"{NAME}-machines"
    client.close()
    ec2.close()


def test_machines_know_where_it_is_and_want_its_authorities(aws: Aws) -> None:
    settings = {"beanft_databases": {"staging": SMALL}}
    refused = aws.play("machines", settings=settings)
    assert refused.code != 0
    assert "database-ca.pem, which has no certificates" in refused.sentence
    bundle = aws.tree / ".local/aws-staging/database-ca.pem"
    bundle.write_text("-----BEGIN CERTIFICATE-----\n-----END CERTIFICATE-----\n")
    shows = aws.tree / "ansible/playbooks/shows.yml"
    shows.write_text(SHOWS_DATABASE)
    known = aws.play("shows", settings=settings)
    shows.unlink()
    assert known.code == 0, known.said
    (database,) = databases(aws)
    assert database["Endpoint"]["Address"] in known.said
    aws.proxy.faults = [Fault("DescribeDBInstances", 404, "DBInstanceNotFound", "not found", 99)]
    gone = aws.play("machines", settings=settings)
    assert gone.code != 0
    assert f"no database {NAME} that could be asked: run 'make provision' first" in gone.sentence


def test_another_size_is_asked_for(aws: Aws) -> None:
    refused = provision(aws, database=LARGER)
    assert refused.code != 0
    line = "change database from small, 20 GB, 1 zone into medium, 30 GB, 2 zones, at once"
    assert line in refused.sentence
    assert databases(aws)[0]["DBInstanceClass"] == "db.t4g.small"
    # Somebody took the protection off; it is put back without a question.
    client = aws.client("rds")
    client.modify_db_instance(DBInstanceIdentifier=NAME, DeletionProtection=False)
    client.close()
    done = provision(aws, database=LARGER, AGREED="staging")
    assert done.code == 0, done.said
    (database,) = databases(aws)
    assert (database["DBInstanceClass"], database["AllocatedStorage"]) == ("db.t4g.medium", 30)
    assert database["MultiAZ"]
    assert database["DeletionProtection"]
    again = provision(aws, database=LARGER)
    assert (again.code, again.changed) == (0, 0), again.said
    shrunk = provision(aws, database=SMALL, AGREED="staging")
    assert shrunk.code != 0
    assert "the database has a disk of 30 GB, which can't shrink to 20" in shrunk.sentence


def test_one_that_is_named_no_more_stays(aws: Aws) -> None:
    done = provision(aws, database={})
    assert (done.code, done.changed) == (0, 0), done.said
    assert "keep database, which is named in beanft_databases no more" in done.sentence
    assert len(databases(aws)) == 1


def test_destroy_keeps_the_data_as_a_snapshot(aws: Aws) -> None:
    refused = destroy(aws)
    assert refused.code != 0
    assert "remove database" in refused.sentence
    assert "keep a snapshot of the database, which is made first" in refused.sentence
    # Its addresses in the network are given back some time after it, and hold its firewall.
    dependent = "has a dependent object"
    aws.proxy.faults = [Fault("DeleteSecurityGroup", 400, "DependencyViolation", dependent)]
    done = destroy(aws, AGREED="staging")
    assert done.code == 0, done.said
    assert all(fault.times <= 0 for fault in aws.proxy.faults)
    assert databases(aws) == []
    (kept,) = snapshots(aws)
    assert kept.startswith(f"{NAME}-2")
    client, ec2 = aws.client("rds"), aws.client("ec2")
    assert client.describe_db_subnet_groups()["DBSubnetGroups"] == []
    left = client.describe_db_parameter_groups()["DBParameterGroups"]
    assert [item for item in left if NAME in item["DBParameterGroupName"]] == []
    ours = [{"Name": "tag:beanft-environment", "Values": ["staging"]}]
    assert ec2.describe_vpcs(Filters=ours)["Vpcs"] == []
    assert ec2.describe_security_groups(Filters=ours)["SecurityGroups"] == []
    client.close()
    ec2.close()
    again = destroy(aws)
    assert (again.code, again.changed) == (0, 0), again.said
    assert f"keep snapshot {kept}" in again.sentence


def test_destroy_with_its_data(aws: Aws) -> None:
    made = provision(aws, AGREED="staging")
    assert made.code == 0, made.said
    client = aws.client("rds")
    client.create_db_snapshot(DBSnapshotIdentifier="of-somebody", DBInstanceIdentifier=NAME)
    (kept,) = (name for name in snapshots(aws) if name.startswith(NAME))
    client.remove_tags_from_resource(
        ResourceName=client.describe_db_snapshots(DBSnapshotIdentifier="of-somebody")[
            "DBSnapshots"
        ][0]["DBSnapshotArn"],
        TagKeys=["beanft-environment"],
    )
    client.close()
    done = destroy(aws, AGREED="staging", DISKS="remove")
    assert done.code == 0, done.said
    assert f"remove snapshot {kept}" in done.sentence
    assert databases(aws) == []
    assert snapshots(aws) == ["of-somebody"]
    before = aws.proxy.calls.copy()
    again = aws.play("destroy", DISKS="remove")
    assert (again.code, again.changed) == (0, 0), again.said
    # Who has none needs no right to look for it.
    assert not [call for call in aws.proxy.calls - before if call.startswith("rds:")]


def test_what_is_asked_of_the_account_is_documented(aws: Aws) -> None:
    assert undocumented(aws) == []
