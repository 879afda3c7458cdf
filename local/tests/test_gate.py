"""What reaches the local AWS: no page of another site, no other host, nothing that is not signed."""

import hashlib
import http.client
import json
import stat
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
import requests
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials
from local_aws.cloud import Cloud, running
from local_aws.credentials import of_home
from local_aws.iam import Access

from .aws import EVERYTHING, ROLE, Aws, refused

FAULTS = {"X-Amz-Target": "SageMaker.LocalFaults"}
FOREIGN = "https://evil.example"


def call(cloud: Cloud, method: str, path: str, headers: dict[str, str] | None = None, body: str = "") -> Any:
    """The status, the headers and the body of an answer; nothing is added to the request."""
    connection = http.client.HTTPConnection(cloud.endpoint_url.removeprefix("http://"), timeout=30)
    with closing(connection):
        connection.request(method, path, body or None, headers or {})
        answer = connection.getresponse()
        return answer.status, {name.lower(): value for name, value in answer.getheaders()}, answer.read().decode()


def signed(cloud: Cloud, method: str, path: str, body: str = "", service: str = "s3", **more: str) -> dict[str, str]:
    """The headers of a request signed by the root; `more`: key, secret, date, scope (of the region)."""
    own = cloud.credentials
    url, headers = (
        f"{cloud.endpoint_url}{path}",
        {"X-Amz-Content-SHA256": "UNSIGNED-PAYLOAD"} if service == "s3" else {},
    )
    request = AWSRequest(method, url, data=body, headers=headers)
    SigV4Auth(Credentials(more.get("key", own.key), more.get("secret", own.secret)), service, "us-east-1").add_auth(
        request
    )
    return dict(request.headers)


@pytest.mark.drill("web", "DNS rebinding: six foreign hosts", "403, even with a valid signature")
@pytest.mark.parametrize(
    "host", ["evil.example", "evil.example:4566", "127.0.0.1.evil.example", "localhost.evil.example", "10.0.0.1", ""]
)
def test_another_host_is_refused_even_with_a_signature(aws: Aws, host: str) -> None:
    status, _, text = call(aws.cloud, "GET", "/", {**signed(aws.cloud, "GET", "/"), "Host": host})
    assert (status, text) == (403, f"The host {host!r} is not this machine.\n")


@pytest.mark.parametrize(
    "host", ["localhost", "127.0.0.1:9", "things.localhost:4566", "a1b2c3d4.execute-api.localhost"]
)
def test_each_name_of_this_machine_is_served(aws: Aws, host: str) -> None:
    assert call(aws.cloud, "GET", "/_ministack/health", {"Host": host})[0] == 200


@pytest.mark.drill(
    "web", "a page of a foreign origin: simple, presigned, signed, preflight, reset", "403 without CORS headers"
)
def test_a_page_of_another_origin_is_refused_whatever_it_sends(aws: Aws) -> None:
    aws.put("csrf/secret.txt", "secret")
    url = aws.s3.generate_presigned_url("get_object", {"Bucket": aws.bucket, "Key": "csrf/secret.txt"})
    presigned = urlsplit(url).path + "?" + urlsplit(url).query
    assert call(aws.cloud, "GET", presigned)[2] == "secret"
    sent = {
        "presigned": ("GET", presigned, {}, ""),
        "simple": ("POST", "/", {"Content-Type": "text/plain"}, "Action=CreateUser&UserName=evil&Version=2010-05-08"),
        "signed": ("GET", "/", signed(aws.cloud, "GET", "/"), ""),
        "preflight": ("OPTIONS", "/", {"Access-Control-Request-Method": "PUT"}, ""),
        "reset": ("POST", "/_ministack/reset", {}, ""),
    }
    for name, (method, path, headers, body) in sent.items():
        for origin in (FOREIGN, "null", "http://127.0.0.1:1"):
            status, answered, text = call(aws.cloud, method, path, {**headers, "Origin": origin}, body)
            assert (name, status, "secret" in text) == (name, 403, False)
            assert not [header for header in answered if header.startswith("access-control")]
    image = {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "no-cors", "Sec-Fetch-Dest": "image"}
    assert call(aws.cloud, "GET", presigned, image)[0] == 403
    link = {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "navigate", "Sec-Fetch-Dest": "document"}
    assert call(aws.cloud, "GET", presigned, link)[0] == 200


@pytest.mark.drill("web", "answers of all services", "no CORS header")
def test_no_answer_may_be_read_by_other_pages(aws: Aws) -> None:
    for path in ("/", f"/{aws.bucket}"):
        _, headers, _ = call(aws.cloud, "GET", path, signed(aws.cloud, "GET", path))
        assert not [header for header in headers if header.startswith("access-control")]


UNSIGNED = {
    "list": ("GET", "/", {}),
    "read": ("GET", "/things/unsigned/secret.txt", {}),
    "write": ("PUT", "/things/unsigned/new.txt", {}),
    "delete": ("DELETE", "/things/unsigned/secret.txt", {}),
    "reset": ("POST", "/_ministack/reset", {}),
    "config": ("POST", "/_ministack/config", {}),
    "messages": ("GET", "/_ministack/sqs/messages", {}),
    "code": ("GET", "/_ministack/lambda-code/any", {}),
    "faults": ("POST", "/", FAULTS),
    "sagemaker": ("POST", "/", {"X-Amz-Target": "SageMaker.ListModels"}),
    "query": ("POST", "/?Action=CreateUser&UserName=evil&Version=2010-05-08", {}),
    "registry": ("PUT", "/v2/image/manifests/latest", {}),
    "pool": ("POST", "/oauth2/token", {}),
    "imds": ("GET", "/latest/meta-data/iam/security-credentials/", {}),
    "iceberg": ("GET", "/iceberg/v1/config", {}),
    "invoke": ("POST", "/endpoints/any/invocations", {}),
    "function": ("POST", "/2015-03-31/functions/any/invocations", {}),
}


@pytest.mark.drill(
    "web", "17 kinds of requests, unsigned or wrongly signed", "refused; nothing is created, read or deleted"
)
@pytest.mark.parametrize("name", UNSIGNED)
def test_what_is_not_signed_is_refused(aws: Aws, name: str) -> None:
    uri, (method, path, headers) = aws.put("unsigned/secret.txt", "secret"), UNSIGNED[name]
    wrong = {
        "Authorization": "AWS4-HMAC-SHA256 Credential=test/20200101/us-east-1/s3/aws4_request, "
        "SignedHeaders=host, Signature=00",
        "X-Amz-Date": "20200101T000000Z",
    }
    presigned = "X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Credential=test%2F20200101%2Fus-east-1%2Fs3%2Faws4_request&X-Amz-Date=20200101T000000Z&X-Amz-Expires=9&X-Amz-SignedHeaders=host&X-Amz-Signature=00"
    for more, query in (({}, ""), (wrong, ""), ({}, presigned), ({"Authorization": "Basic dGVzdDp0ZXN0"}, "")):
        asked = path + (f"{'&' if '?' in path else '?'}{query}" if query else "")
        status, _, text = call(aws.cloud, method, asked, {**headers, **more})
        assert (status in (400, 401, 403), "secret.txt" in text and uri in text) == (True, False), text
    assert (aws.read("unsigned/secret.txt"), aws.keys("unsigned/")) == (b"secret", ["secret.txt"])
    assert "evil" not in json.dumps(aws.client("iam").list_users()["Users"], default=str)


@pytest.mark.drill("web", "wrong secret, body, age or scope of a signature", "refused with AWS's code")
def test_the_roots_signature_is_checked_for_secret_body_age_and_scope(
    aws: Aws, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = aws.cloud.credentials
    for keys in (
        (root.key, "not the secret"),
        ("test", "test"),
        ("123456789012", "test"),
        ("AKIA-unknown", "x"),
    ):
        for service, ask in (("s3", "list_buckets"), ("sagemaker", "list_models"), ("iam", "list_users")):
            code, _ = refused(getattr(aws.client(service, keys), ask))
            assert code in {
                "SignatureDoesNotMatch",
                "InvalidSignatureException",
                "InvalidAccessKeyId",
                "UnrecognizedClientException",
                "InvalidClientTokenId",
            }, (keys, service, code)
    body = '{"SortBy": "Name"}'
    target = {"X-Amz-Target": "SageMaker.ListModels", "Content-Type": "application/x-amz-json-1.1"}
    good = signed(aws.cloud, "POST", "/", body, "sagemaker")
    assert call(aws.cloud, "POST", "/", {**good, **target}, body)[0] == 200
    moved = {**good, "Authorization": good["Authorization"].replace("us-east-1", "us-west-2")}
    for headers, sent in ((good, "{}"), (moved, body)):
        status, _, text = call(aws.cloud, "POST", "/", {**headers, **target}, sent)
        assert (status, "does not match" in text) == (400, True), text

    class Earlier(datetime):
        @classmethod
        def now(cls, tz: Any = None) -> "Earlier":
            return cls.fromtimestamp((datetime.now(UTC) - timedelta(minutes=16)).timestamp(), tz)

        utcnow = now

    for name in ("botocore.auth.get_current_datetime", "botocore.auth.datetime"):
        monkeypatch.setattr(name, lambda *_: Earlier.now(UTC), raising=False)
    old = signed(aws.cloud, "POST", "/", body, "sagemaker")
    monkeypatch.undo()
    status, _, text = call(aws.cloud, "POST", "/", {**old, **target}, body)
    assert (status, "Signature expired" in text) == (400, True), text


@pytest.mark.drill("web", "a user with all rights asks for a reset or for faults", "403")
def test_only_the_root_may_reset_or_inject_faults(aws: Aws) -> None:
    key, secret = aws.user_keys(EVERYTHING)
    for path, headers in (("/_ministack/reset", {}), ("/_ministack/sqs/messages", {}), ("/", FAULTS)):
        method = "GET" if "sqs" in path else "POST"
        made = signed(aws.cloud, method, path, service="sagemaker", key=key, secret=secret)
        status, _, text = call(aws.cloud, method, path, {**made, **headers})
        assert (status, "Only the account's root may do this." in text) == (403, True)


@pytest.mark.drill("web", "a presigned URL that was changed, or used for another method", "403")
def test_a_presigned_url_is_checked(aws: Aws) -> None:
    aws.put("presigned.txt", "text")
    url = aws.s3.generate_presigned_url("get_object", {"Bucket": aws.bucket, "Key": "presigned.txt"}, ExpiresIn=60)
    assert requests.get(url, timeout=30).text == "text"
    assert requests.get(url[:-1] + ("0" if url[-1] != "0" else "1"), timeout=30).status_code == 403
    assert requests.put(url, "changed", timeout=30).status_code == 403


@pytest.fixture(scope="module")
def lenient(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cloud]:
    """A local AWS whose settings allow an origin, and `test` as credentials."""
    home = tmp_path_factory.mktemp("lenient") / "home"
    with running(home=home, environment={"LOCAL_AWS_ORIGINS": FOREIGN, "LOCAL_AWS_TEST_CREDENTIALS": "1"}) as cloud:
        yield cloud


@pytest.mark.cloud
def test_settings_allow_an_origin_and_the_credentials_test(lenient: Cloud) -> None:
    made = {**signed(lenient, "GET", "/", key="test", secret="test"), "Origin": FOREIGN}
    assert call(lenient, "GET", "/", made)[0] == 200
    preflight = call(lenient, "OPTIONS", "/", {"Origin": FOREIGN, "Access-Control-Request-Method": "PUT"})
    assert (preflight[0], "access-control-allow-origin" in preflight[1]) == (200, True)
    assert call(lenient, "GET", "/", {"Origin": "https://other.example"})[0] == 403
    wrong = signed(lenient, "GET", "/", key="test", secret="not the secret")
    assert call(lenient, "GET", "/", wrong)[0] == 403


@pytest.mark.drill("web", "another user of the machine reads the home folder", "files are the owner's alone")
def test_only_the_owner_reads_the_files_of_a_home(aws: Aws) -> None:
    aws.put("private.txt", "text")
    open_to_others = {
        str(path.relative_to(aws.cloud.home)): oct(path.stat().st_mode)
        for path in (aws.cloud.home, *aws.cloud.home.rglob("*"))
        if not path.is_symlink() and stat.S_IMODE(path.stat().st_mode) & (stat.S_IRWXG | stat.S_IRWXO)
    }
    assert open_to_others == {}


def test_credentials_are_made_per_home_and_kept(tmp_path: Path) -> None:
    first, other = tmp_path / "first", tmp_path / "other"
    for home in (first, other):
        home.mkdir()
    made = of_home(first)
    assert (of_home(first), of_home(other) == made) == (made, False)
    assert [file.name for file in first.iterdir()] == ["credentials.json"]


def test_no_secret_of_a_role_follows_from_its_name(aws: Aws, tmp_path: Path) -> None:
    names = ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN")
    arn = aws.function(f"return [os.environ[name] for name in {names}]")
    invoke = aws.client("lambda").invoke
    first = json.load(invoke(FunctionName=arn, Payload=b"{}")["Payload"])
    role = aws.client("lambda").get_function_configuration(FunctionName=arn)["Role"]
    digest = hashlib.sha256(f"{arn}:{role}".encode()).hexdigest()
    guessed = {hashlib.sha256(f"{part}:{digest}".encode()).hexdigest() for part in ("secret", "token")}
    assert not guessed & set(first)

    def made() -> Credentials:
        access = Access(lambda *_: None, lambda *_: True, lambda *_: None, tmp_path / "iam.jsonl")
        assert access.act(ROLE, "sagemaker.amazonaws.com") == access.act(ROLE, "sagemaker.amazonaws.com")
        found = access.act(ROLE, "sagemaker.amazonaws.com")
        return Credentials(found.key, found.secret, found.token)

    assert made().secret_key != made().secret_key


@pytest.mark.drill("web", "a Lambda looks for the secrets of its user", "its environment is the function's own")
def test_a_function_has_its_own_environment_only(aws: Aws) -> None:
    made = aws.client("lambda")
    arn = aws.function("return sorted(os.environ)")
    made.update_function_configuration(FunctionName=arn, Environment={"Variables": {"MINE": "1"}})
    names = set(json.loads(made.invoke(FunctionName=arn, Payload=b"{}")["Payload"].read()))
    ours = {name for name in names if not name.startswith(("AWS_", "_", "LAMBDA_", "COVERAGE_", "LC_"))}
    assert ours <= {"MINE", "PATH", "LANG", "TMPDIR", "HOME"}
