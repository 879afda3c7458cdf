"""Signed requests to a local AWS that no SDK has: faults, a reset."""

import urllib.request
from collections.abc import Mapping

from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

from local_aws.cloud import Cloud


def request(
    cloud: Cloud, path: str = "/", body: bytes = b"", headers: Mapping[str, str] | None = None, method: str = "POST"
) -> urllib.request.Request:
    """A request in the name of the account's root, valid for five minutes; the body is JSON."""
    url, region = cloud.endpoint_url + path, cloud.environment["AWS_REGION"]
    made = AWSRequest(method, url, data=body, headers={"Content-Type": "application/json", **(headers or {})})
    SigV4Auth(Credentials(cloud.credentials.key, cloud.credentials.secret), "sagemaker", region).add_auth(made)
    return urllib.request.Request(url, body, dict(made.headers), method=method)  # noqa: S310 the URL is ours
