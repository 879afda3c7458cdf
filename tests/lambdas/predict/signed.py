"""AWS Signature Version 4 for `requests`: a consumer that shares no code with the API or with `ops`."""

from __future__ import annotations

import os
import time
from typing import Any

import requests
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials


class Signed(requests.auth.AuthBase):
    """Signs a prepared request for execute-api with the environment's credentials."""

    def __call__(self, request: requests.PreparedRequest) -> requests.PreparedRequest:
        credentials = Credentials(os.environ["AWS_ACCESS_KEY_ID"], os.environ["AWS_SECRET_ACCESS_KEY"])
        content = {name: value for name, value in request.headers.items() if name.lower() == "content-type"}
        signed = AWSRequest(request.method, request.url, data=request.body, headers=content)
        SigV4Auth(credentials, "execute-api", os.environ["AWS_REGION"]).add_auth(signed)
        request.headers.update(dict(signed.headers))
        return request


class Consumer:
    """Posts with a signature of its own, and waits as Retry-After says when it was too fast."""

    def __init__(self, live: Any) -> None:
        self.url = live.account.api_url.removesuffix(live.account.settings.api.path)
        self.path = live.account.settings.api.path
        self.session = requests.Session()
        self.session.auth = Signed()

    def post(
        self,
        path: str,
        body: str | bytes | None,
        content_type: str | None = "application/json",
        encoding: str | None = None,
    ) -> requests.Response:
        headers = {"Content-Type": content_type, "Content-Encoding": encoding}
        data = body.encode("utf-8", "surrogatepass") if isinstance(body, str) else body
        given = {name: value for name, value in headers.items() if value}
        while (answer := self.session.post(self.url + path, data, headers=given, timeout=30)).status_code == 429:
            time.sleep(float(answer.headers["Retry-After"]))
        return answer
