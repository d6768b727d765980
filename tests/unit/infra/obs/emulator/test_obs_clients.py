"""Huawei's own client, unchanged, with OBS's own signature, against the stand-in that behaves as OBS."""

import secrets
import ssl
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from botocore.credentials import Credentials
from pydantic import SecretStr

from infra.errors import Refused, UserError
from infra.obs import native
from infra.obs.client import connect
from infra.obs.emulator import rules
from infra.obs.emulator.middleware import Middleware
from infra.settings import ObsSettings
from tests.unit.infra.obs.conftest import serving

with warnings.catch_warnings():  # of its own files, when they are compiled
    warnings.simplefilter("ignore")
    import obs

REGION = "cn-north-4"
pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::ResourceWarning")


@pytest.fixture(scope="module")
def front(server: ObsSettings, home: Path) -> Iterator[Middleware]:
    """The front of the embedded server, which speaks OBS."""
    keys = Credentials(server.access_key.get_secret_value(), server.secret_key.get_secret_value())
    middleware = Middleware(
        upstream=int(server.endpoint.rpartition(":")[2]),
        certificates=home / "certificates",
        keys=keys,
        facts=home / "facts",
    )
    with serving(middleware):
        yield middleware


def open_client(front: Middleware, home: Path, **options: Any) -> Any:
    """Open the client as its documents say: host name, proxy, CA."""
    assert front.keys is not None
    values = {"access_key_id": front.keys.access_key, "secret_access_key": front.keys.secret_key, **options}
    return obs.ObsClient(
        server=f"https://{rules.domain(REGION)}",
        proxy_host="127.0.0.1",
        proxy_port=front.port,
        ssl_verify=str(rules.ca_file(home / "certificates", REGION)),
        max_retry_count=0,
        **values,
    )


@pytest.fixture(scope="module")
def client(front: Middleware, home: Path) -> Iterator[Any]:
    found = open_client(front, home)
    yield found
    found.close()


@pytest.fixture(scope="module")
def bucket(client: Any) -> str:
    name = f"esdk-{secrets.token_hex(4)}"
    assert client.createBucket(name, location=REGION).status == 200
    return name


def test_buckets(client: Any, bucket: str) -> None:
    named = [item.name for item in client.listBuckets().body.buckets]
    assert bucket in named
    assert {item.location for item in client.listBuckets().body.buckets} == {REGION}
    assert client.headBucket(bucket).status == 200
    assert client.createBucket(bucket, location=REGION).status == 200, "once more, by the same owner"
    assert client.createBucket(f"{bucket}-x", location="cn-south-1").errorCode == "IllegalLocationConstraintException"
    cold = f"{bucket}-cold"
    assert client.createBucket(cold, header=obs.CreateBucketHeader(storageClass="COLD"), location=REGION).status == 200
    found = client.getBucketMetadata(cold).body
    assert (found.storageClass, found.location, found.obsVersion) == ("COLD", REGION, "3.0")
    assert client.getBucketStoragePolicy(cold).body.storageClass == "COLD"
    assert client.setBucketStoragePolicy(cold, "WARM").status == 200
    assert client.getBucketStoragePolicy(cold).body.storageClass == "WARM"
    assert client.setBucketStoragePolicy(cold, "WARM").status == 200
    assert client.deleteBucket(cold).status == 204
    assert client.headBucket(cold).status == 404
    assert client.getBucketQuota(cold).errorCode == "NoSuchBucket"


def test_zones_and_direct_reading(client: Any, bucket: str) -> None:
    several = obs.CreateBucketHeader(availableZone="3az", aclControl="public-read")
    assert client.createBucket(f"{bucket}-az", header=several, location=REGION).status == 200
    assert client.getBucketMetadata(f"{bucket}-az").body.availableZone == "3az"
    assert client.getBucketMetadata(bucket).body.availableZone is None
    wrong = obs.CreateBucketHeader(availableZone="2az")
    assert client.createBucket(f"{bucket}-no", header=wrong, location=REGION).errorCode == "InvalidArgument"
    for name in ("x-obs-acl", "x-amz-acl"):  # Huawei's client would not send an unknown one
        refused = rules.refusal(rules.Request("PUT", "/", {name: "everybody"}), REGION, path_style=True)
        assert refused is not None
        assert refused.code == "InvalidArgument"
    assert client.getBucketDirectColdAccess(bucket).body.status == "Disabled"
    assert client.putContent(bucket, "cold", "ice", headers=obs.PutObjectHeader(storageClass="COLD")).status == 200
    assert client.getObject(bucket, "cold", loadStreamInMemory=True).errorCode == "InvalidObjectState"
    assert client.setBucketDirectColdAccess(bucket, obs.DirectColdAccessConfiguration("Enabled")).status == 200
    assert client.getBucketDirectColdAccess(bucket).body.status == "Enabled"
    assert client.getObject(bucket, "cold", loadStreamInMemory=True).body.buffer == b"ice"
    assert (
        client.setBucketDirectColdAccess(bucket, obs.DirectColdAccessConfiguration("Often")).errorCode == "MalformedXML"
    )
    assert client.deleteBucketDirectColdAccess(bucket).status == 204
    assert client.getObject(bucket, "cold", loadStreamInMemory=True).errorCode == "InvalidObjectState"


def test_a_bucket_of_the_settings_has_their_properties(front: Middleware, client: Any, bucket: str, home: Path) -> None:
    """The client of the chain, with version 4 and OBS's own signature, and Huawei's client see the same bucket."""
    assert front.keys is not None
    settings = ObsSettings(
        endpoint=f"https://{rules.domain(REGION)}",
        proxy=f"http://127.0.0.1:{front.port}",
        ca=str(rules.ca_file(home / "certificates", REGION)),
        bucket=f"{bucket}-mine",
        access_key=SecretStr(front.keys.access_key),
        secret_key=SecretStr(front.keys.secret_key),
        redundancy="multi",
        storage_class="GLACIER",
        direct_read=True,
    )
    mine = connect(settings)
    assert mine.ensure_bucket()
    found = client.getBucketMetadata(mine.bucket).body
    assert (found.availableZone, found.storageClass) == ("3az", "COLD")
    assert client.getBucketDirectColdAccess(mine.bucket).body.status == "Enabled"
    assert vars(mine.facts()) == {"region": REGION, "storage_class": "GLACIER", "redundancy": "multi"}
    assert not mine.ensure_bucket()
    elsewhere = connect(settings.model_copy(update={"bucket": f"{bucket}-far"}))
    with pytest.raises(UserError, match="region"):
        elsewhere.ensure_bucket("cn-south-1")
    wrong = connect(settings.model_copy(update={"bucket": mine.bucket, "secret_key": SecretStr("wrong")}))
    with pytest.raises(Refused, match="signature is wrong"):
        native.put(wrong._connection, wrong._settings, "directcoldaccess", b"")


def test_location_quota_and_policy(client: Any, bucket: str) -> None:
    assert client.getBucketLocation(bucket).body.location == REGION
    assert client.getBucketQuota(bucket).body.quota == 0
    assert client.setBucketQuota(bucket, 1024**3).status == 200
    assert client.getBucketQuota(bucket).body.quota == 1024**3
    assert client.getBucketPolicy(bucket).errorCode == "NoSuchBucketPolicy"
    policy = (
        f'{{"Statement": [{{"Effect": "Allow", "Principal": {{"ID": ["*"]}}, "Action": ["GetObject"], '
        f'"Resource": ["{bucket}/*"]}}]}}'
    )
    assert client.setBucketPolicy(bucket, policy).status == 204
    assert client.getBucketPolicy(bucket).body.policyJSON == policy
    assert client.setBucketPolicy(bucket, policy.replace(bucket, "another")).errorCode == "MalformedPolicy"
    assert client.setBucketPolicy(bucket, "{}").errorCode == "MalformedPolicy"
    assert client.deleteBucketPolicy(bucket).status == 204


def test_objects(client: Any, bucket: str, tmp_path: Path) -> None:
    for key in ("plain", "a folder/ä (1)+&'*!~.txt", "x=y?z#"):
        assert client.putContent(bucket, key, "hello", metadata={"colour": "blue"}).status == 200, key
        assert client.getObject(bucket, key, loadStreamInMemory=True).body.buffer == b"hello"
        found = client.getObjectMetadata(bucket, key)
        assert dict(found.header)["colour"] == "blue"
    (tmp_path / "in").write_bytes(b"x" * 300_000)
    assert client.putFile(bucket, "file", str(tmp_path / "in")).status == 200
    assert client.getObject(bucket, "file", str(tmp_path / "out")).status == 200
    assert (tmp_path / "out").read_bytes() == b"x" * 300_000
    assert client.copyObject(bucket, "file", bucket, "copy").status == 200
    warm = client.putContent(bucket, "warm", "w", headers=obs.PutObjectHeader(storageClass="WARM"))
    assert warm.status == 200
    listed = client.listObjects(bucket, max_keys=2)
    assert len(listed.body.contents) == 2
    assert listed.body.is_truncated
    everything = client.listObjects(bucket).body.contents
    assert next(item.storageClass for item in everything if item.key == "warm") == "WARM"
    assert client.getObjectMetadata(bucket, "warm").body.storageClass == "WARM"
    info = client.getBucketStorageInfo(bucket).body
    assert (info.objectNumber, info.warmObjectNumber) == (len(everything), 1)
    assert info.size == sum(item.size for item in everything)
    assert client.getObject(bucket, "absent").errorCode == "NoSuchKey"
    names = [obs.Object(key=item.key) for item in everything]
    assert len(client.deleteObjects(bucket, obs.DeleteObjectsRequest(quiet=False, objects=names)).body.deleted) == len(
        names
    )


def test_large_files_in_parts(client: Any, bucket: str, tmp_path: Path) -> None:
    (tmp_path / "in").write_bytes(secrets.token_bytes(1024) * 6 * 1024)
    sent = client.uploadFile(bucket, "large", str(tmp_path / "in"), partSize=5 * 1024**2, taskNum=2)
    assert sent.status == 200
    assert client.downloadFile(bucket, "large", str(tmp_path / "out"), partSize=5 * 1024**2).status == 200
    assert (tmp_path / "out").read_bytes() == (tmp_path / "in").read_bytes()
    begun = client.initiateMultipartUpload(bucket, "unfinished").body.uploadId
    assert [item.uploadId for item in client.listMultipartUploads(bucket).body.upload] == [begun]
    assert client.abortMultipartUpload(bucket, "unfinished", begun).status == 204


def test_an_object_grows_by_appending(client: Any, bucket: str) -> None:
    def append(text: str, position: int) -> Any:
        content = obs.AppendObjectContent()
        content.content, content.position = text, position
        return client.appendObject(bucket, "log", content)

    assert append("one", 0).body.nextPosition == 3
    assert append("two", 3).body.nextPosition == 6
    assert append("three", 3).errorCode == "PositionNotEqualToLength"
    found = client.getObjectMetadata(bucket, "log").body
    assert (found.isAppendable, found.nextPosition) == (True, 6)
    assert client.getObject(bucket, "log", loadStreamInMemory=True).body.buffer == b"onetwo"
    client.putContent(bucket, "plain", "x")
    content = obs.AppendObjectContent()
    content.content, content.position = "y", 1
    assert client.appendObject(bucket, "plain", content).errorCode == "ObjectNotAppendable"


def test_an_archived_object_is_read_after_it_was_restored(client: Any, bucket: str) -> None:
    client.putContent(bucket, "cold", "c", headers=obs.PutObjectHeader(storageClass="COLD"))
    assert client.getObject(bucket, "cold").errorCode == "InvalidObjectState"
    assert client.restoreObject(bucket, "cold", 31).errorCode == "InvalidArgument"
    assert client.restoreObject(bucket, "cold", 1, "Expedited").status == 202
    assert client.restoreObject(bucket, "cold", 1).status == 200
    assert client.getObject(bucket, "cold", loadStreamInMemory=True).body.buffer == b"c"
    client.putContent(bucket, "plain", "x")
    assert client.restoreObject(bucket, "plain", 1).errorCode == "InvalidObjectState"


def test_what_obs_refuses(client: Any, bucket: str) -> None:
    large = client.putContent(bucket, "k", "x", metadata={"m": "x" * 2100})
    assert (large.status, large.errorCode) == (400, "MetadataTooLarge")


@pytest.mark.parametrize(
    ("options", "error"),
    [
        ({"secret_access_key": "another"}, "SignatureDoesNotMatch"),
        ({"access_key_id": "nobody"}, "InvalidAccessKeyId"),
        ({"signature": "v2", "is_signature_negotiation": False, "secret_access_key": "x"}, "SignatureDoesNotMatch"),
    ],
)
def test_wrong_keys_are_refused(
    front: Middleware, home: Path, bucket: str, options: dict[str, object], error: str
) -> None:
    client = open_client(front, home, **options)
    assert client.listObjects(bucket).errorCode == error
    client.close()


@pytest.mark.parametrize("signature", ["v2", "v4"])
def test_the_signatures_of_aws_work_as_well(front: Middleware, home: Path, bucket: str, signature: str) -> None:
    client = open_client(front, home, signature=signature, is_signature_negotiation=False, region=REGION)
    assert client.putContent(bucket, "k", "hello").status == 200
    assert client.getObject(bucket, "k", loadStreamInMemory=True).body.buffer == b"hello"
    assert client.getBucketLocation(bucket).body.location == REGION
    client.close()


@pytest.mark.parametrize(
    ("name", "status"),
    [
        ("disPolicy", 501),
        ("customdomain", 501),
        ("mirrorBackToSource", 501),
        ("obsbucketalias", 501),
        ("versions", 200),
    ],
)
def test_sub_resources_are_signed_as_the_client_signs_them(
    client: Any, front: Middleware, home: Path, bucket: str, name: str, status: int
) -> None:
    answer = read_link(client, front, home, bucket, name)
    assert answer.status_code == status, answer.text


def test_a_policy_says_whether_it_lets_everybody_in(client: Any, front: Middleware, home: Path, bucket: str) -> None:
    assert read_link(client, front, home, bucket, "policyStatus").status_code == 404
    statement = f'{{"Effect": "Allow", "Action": ["GetObject"], "Resource": ["{bucket}/*"], "Principal": %s}}'
    for principal, public in (('{"ID": ["*"]}', "true"), ('{"ID": ["domain/a:user/b"]}', "false"), ('"*"', "true")):
        assert client.setBucketPolicy(bucket, f'{{"Statement": [{statement % principal}]}}').status == 204
        assert f"<IsPublic>{public}<" in read_link(client, front, home, bucket, "policyStatus").text
    assert client.deleteBucketPolicy(bucket).status == 204


def read_link(client: Any, front: Middleware, home: Path, bucket: str, name: str) -> httpx.Response:
    """Read a sub-resource of a bucket by a link."""
    authority = ssl.create_default_context(cafile=str(rules.ca_file(home / "certificates", REGION)))
    with httpx.Client(proxy=f"http://127.0.0.1:{front.port}", verify=authority) as browser:
        return browser.get(client.createSignedUrl("GET", bucket, specialParam=name, expires=60).signedUrl)


def test_a_link_works_until_it_expires(client: Any, front: Middleware, home: Path, bucket: str) -> None:
    client.putContent(bucket, "k", "hello")
    authority = str(rules.ca_file(home / "certificates", REGION))
    with httpx.Client(
        proxy=f"http://127.0.0.1:{front.port}", verify=ssl.create_default_context(cafile=authority)
    ) as browser:
        link = client.createSignedUrl("GET", bucket, "k", expires=60).signedUrl
        assert browser.get(link).content == b"hello"
        assert browser.get(link.replace("Signature=", "Signature=x")).status_code == 403
        assert browser.get(client.createSignedUrl("GET", bucket, "k", expires=-60).signedUrl).status_code == 403
