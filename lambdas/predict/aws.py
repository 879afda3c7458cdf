"""Signed calls to SageMaker and S3 over connections that stay open.

botocore signs and sends the requests, without its clients: a client loads service models and endpoint rules, a third of
a cold start, and takes most of a warm call's time. `make bench` (bench/api.py) measures both.
"""

import socket
from collections.abc import Mapping
from typing import Any

from botocore.auth import S3SigV4Auth, SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import EnvProvider
from botocore.exceptions import ConnectionClosedError, EndpointConnectionError
from botocore.httpsession import URLLib3Session

CONNECT_SECONDS, READ_SECONDS = 1, 12
COLD_SECONDS = 25
"""In place of READ_SECONDS for a serverless endpoint, whose container may have to start before it answers."""


class Refused(Exception):
    """AWS answered with an error; `message` may hold ARNs and must appear in no answer and no log."""

    def __init__(self, status: int, code: str, message: str) -> None:
        super().__init__(code)
        self.status, self.code, self.message = status, code, message


class Aws:
    """SageMaker's two services and S3, with the credentials and the region of Lambda's environment.

    AWS_ENDPOINT_URL replaces all addresses. URL_SUFFIX is the partition's, CloudFormation's AWS::URLSuffix.
    """

    def __init__(self, environment: Mapping[str, str], *, serverless: bool = False) -> None:
        self.read_seconds = COLD_SECONDS if serverless else READ_SECONDS
        self._region = environment.get("AWS_REGION") or environment["AWS_DEFAULT_REGION"]
        self._suffix = environment.get("URL_SUFFIX", "amazonaws.com")
        self._override = environment.get("AWS_ENDPOINT_URL", "").rstrip("/")
        # Without credentials SigV4Auth raises NoCredentialsError at the first call.
        self._credentials: Any = EnvProvider(dict(environment)).load()
        timeout: Any = (CONNECT_SECONDS, self.read_seconds)
        # A request is two packets; with Nagle's algorithm the second waits 40 ms for the first one's acknowledgement.
        no_delay: Any = [(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)]
        self._http = URLLib3Session(timeout=timeout, socket_options=no_delay)

    def call(self, service: str, path: str, headers: Mapping[str, str], body: str) -> tuple[Mapping[str, str], bytes]:
        """POST to `runtime.sagemaker` or `api.sagemaker` and return the answer's headers and body.

        Only a connection that was closed while idle is retried, once; the caller decides on any other retry.

        Raises:
            Refused: the service answered with an error.
            BotoCoreError: no answer came; ReadTimeoutError or ConnectTimeoutError after the seconds above.
        """
        url = f"{self._override or f'https://{service}.{self._region}.{self._suffix}'}{path}"
        request = AWSRequest("POST", url, data=body.encode(), headers=dict(headers))
        SigV4Auth(self._credentials, "sagemaker", self._region).add_auth(request)
        return self._answer(request)

    def read(self, bucket: str, key: str) -> bytes:
        """Return an object of S3. Raises as `call` does."""
        host = f"https://{bucket}.s3.{self._region}.{self._suffix}"
        request = AWSRequest("GET", f"{f'{self._override}/{bucket}' if self._override else host}/{key}")
        S3SigV4Auth(self._credentials, "s3", self._region).add_auth(request)
        return self._answer(request)[1]

    def _answer(self, request: AWSRequest) -> tuple[Mapping[str, str], bytes]:
        prepared = request.prepare()
        try:
            answer = self._http.send(prepared)
        except (ConnectionClosedError, EndpointConnectionError):
            answer = self._http.send(prepared)
        if answer.status_code >= 300:
            code = answer.headers.get("x-amzn-ErrorType", "").partition(":")[0]
            raise Refused(answer.status_code, code, answer.content.decode(errors="replace"))
        return answer.headers, answer.content
