"""AWS Signature Version 4 for HTTP clients: consumers that share no code with the API or with `ops`."""

import os
import time
from typing import Any

import requests
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials


def signature(method: str | None, url: str | None, data: Any, content_type: str | bytes | None) -> dict[str, str]:
    """Return the headers that sign a request for execute-api with the environment's credentials."""
    credentials = Credentials(os.environ["AWS_ACCESS_KEY_ID"], os.environ["AWS_SECRET_ACCESS_KEY"])
    request = AWSRequest(method, url, data=data, headers={"Content-Type": content_type} if content_type else {})
    SigV4Auth(credentials, "execute-api", os.environ["AWS_REGION"]).add_auth(request)
    return dict(request.headers)


class Signed(requests.auth.AuthBase):
    """Signs a prepared request."""

    def __call__(self, request: requests.PreparedRequest) -> requests.PreparedRequest:
        content_type = request.headers.get("Content-Type")
        request.headers.update(signature(request.method, request.url, request.body, content_type))
        return request


class Consumer:
    """Posts signed requests and waits for the seconds in Retry-After when the API throttles."""

    def __init__(self, live: Any) -> None:
        self.url = live.account.api_url.removesuffix(live.account.settings.api.path)
        self.path = live.account.settings.api.path
        self.session = requests.Session()
        self.session.auth = Signed()

    def post(
        self, path: str, body: str | bytes | None, content_type: str | None = "application/json", encoding: str = ""
    ) -> requests.Response:
        headers = {"Content-Type": content_type, "Content-Encoding": encoding}
        data = body.encode("utf-8", "surrogatepass") if isinstance(body, str) else body
        given = {name: value for name, value in headers.items() if value}
        while (answer := self.session.post(self.url + path, data, headers=given, timeout=30)).status_code == 429:
            time.sleep(float(answer.headers["Retry-After"]))
        return answer
