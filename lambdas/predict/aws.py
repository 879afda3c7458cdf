"""Signed calls to SageMaker over connections that stay open.

botocore signs and sends, but its client layer stays out: the service models and endpoint rules that a client loads are
a third of a cold start, and it costs most of a warm call's time too (tests/lambdas/predict/test_speed.py measures).
"""

import socket
from collections.abc import Mapping
from typing import Any

from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import EnvProvider
from botocore.exceptions import ConnectionClosedError, EndpointConnectionError
from botocore.httpsession import URLLib3Session

CONNECT_SECONDS, READ_SECONDS = 1, 12


class Refused(Exception):
    """AWS answered with an error; `message` may hold ARNs and is shown to nobody."""

    def __init__(self, status: int, code: str, message: str) -> None:
        super().__init__(code)
        self.status, self.code, self.message = status, code, message


class Aws:
    """SageMaker's two addresses for the credentials and the region that Lambda puts into the environment.

    AWS_ENDPOINT_URL replaces both addresses; URL_SUFFIX is the partition's, as CloudFormation's AWS::URLSuffix.
    """

    def __init__(self, environment: Mapping[str, str]) -> None:
        self._region = environment.get("AWS_REGION") or environment["AWS_DEFAULT_REGION"]
        self._suffix = environment.get("URL_SUFFIX", "amazonaws.com")
        self._only = environment.get("AWS_ENDPOINT_URL", "").rstrip("/")
        # Without credentials SigV4Auth raises NoCredentialsError at the first call.
        self._credentials: Any = EnvProvider(dict(environment)).load()
        timeout: Any = (CONNECT_SECONDS, READ_SECONDS)
        # A request leaves as two packets; with Nagle's algorithm the second waits 40 ms for the receipt of the first.
        no_delay: Any = [(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)]
        self._http = URLLib3Session(timeout=timeout, socket_options=no_delay)

    def call(self, service: str, path: str, headers: Mapping[str, str], body: str) -> tuple[Mapping[str, str], bytes]:
        """POST to `runtime.sagemaker` or `api.sagemaker` and return the answer's headers and body.

        A connection that was closed while it lay idle is tried once more; nothing else is: the caller decides when.

        Raises:
            Refused: the service answered with an error.
            BotoCoreError: there was no answer; ReadTimeoutError and ConnectTimeoutError after the seconds above.
        """
        url = f"{self._only or f'https://{service}.{self._region}.{self._suffix}'}{path}"
        request = AWSRequest("POST", url, data=body.encode(), headers=dict(headers))
        SigV4Auth(self._credentials, "sagemaker", self._region).add_auth(request)
        prepared = request.prepare()
        try:
            answer = self._http.send(prepared)
        except (ConnectionClosedError, EndpointConnectionError):
            answer = self._http.send(prepared)
        if answer.status_code >= 300:
            code = answer.headers.get("x-amzn-ErrorType", "").partition(":")[0]
            raise Refused(answer.status_code, code, answer.content.decode(errors="replace"))
        return answer.headers, answer.content
