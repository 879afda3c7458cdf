"""The HTTP of a container's server, byte by byte."""

import socket
import threading
from collections.abc import Iterator

import pytest
from local_aws.model_http import Reply, Server

POST = b"POST /invocations HTTP/1.1\r\ncontent-TYPE: text/csv\r\nAccept: a/b \r\nContent-Length: 3\r\n\r\n1,2"
ECHO = b"HTTP/1.1 200 OK\r\nContent-Type: text/csv\r\nContent-Length: 7\r\n\r\n1,2 a/b"
PING = b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"
MISSING = b"HTTP/1.1 404 Not Found\r\nContent-Type: text/plain\r\nContent-Length: 9\r\n\r\nNot Found"
REFUSED = b"HTTP/1.1 400 Bad Request\r\nContent-Type: text/plain\r\nContent-Length: 11\r\n\r\nBad Request"


def echo(body: bytes, media: str | None, accept: str | None) -> Reply:
    return Reply(200, body + f" {accept}".encode(), media)


@pytest.fixture(scope="module")
def port() -> Iterator[int]:
    with Server(0, echo, None) as server:
        threading.Thread(target=server.serve_forever, args=(0.01,)).start()
        yield server.server_address[1]
        server.shutdown()


def answers(port: int, sent: bytes) -> bytes:
    """All bytes until the server closes the connection; the client sends no more after `sent`."""
    with socket.create_connection(("127.0.0.1", port), timeout=10) as client:
        client.sendall(sent)
        client.shutdown(socket.SHUT_WR)
        return b"".join(iter(lambda: client.recv(1 << 16), b""))


@pytest.mark.parametrize(
    ("sent", "received"),
    [
        (POST + b"GET /ping HTTP/1.1\r\n\r\n" + POST, ECHO + PING + ECHO),
        (b"GET /ping HTTP/1.1\r\nConnection: Close\r\n\r\n" + POST, PING),
        (b"GET /ping HTTP/1.0\r\n\r\n" + POST, PING),
        (b"GET /execution-parameters HTTP/1.1\r\n\r\nGET /invocations HTTP/1.1\r\n\r\n", MISSING * 2),
        (b"GET /ping HTTP/1.1\r\nno header\r\n\r\n" + POST, REFUSED),
        (b"GET /ping HTTP/1.1\r\nContent-Length: many\r\n\r\n" + POST, REFUSED),
        (b"GET /ping HTTP/1.1\r\nContent-Length: -1\r\n\r\n" + POST, REFUSED),
        (POST[:-1], REFUSED),
        (b"GET /ping HTTP/1.1\r\nCut: of", REFUSED),
        (b"\r\n" + POST, REFUSED),
        (b"", b""),
    ],
    ids=[
        "kept alive",
        "closed",
        "HTTP/1.0",
        "not found",
        "no header",
        "bad length",
        "negative length",
        "short body",
        "cut off",
        "no request",
        "none",
    ],
)
def test_a_connection_is_answered_until_the_client_or_a_bad_request_ends_it(
    port: int, sent: bytes, received: bytes
) -> None:
    assert answers(port, sent) == received
