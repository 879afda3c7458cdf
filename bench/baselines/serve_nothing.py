"""`python -m bench.baselines.serve_nothing PORT`: answer whatever arrives with the same bytes, and do nothing else."""

import sys
from socketserver import BaseRequestHandler, ThreadingTCPServer

ANSWER = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}"


class Handler(BaseRequestHandler):
    """One connection; a request arrives in one piece."""

    def handle(self) -> None:
        """Answer until the client closes the connection."""
        while self.request.recv(1 << 16):
            self.request.sendall(ANSWER)


if __name__ == "__main__":
    with ThreadingTCPServer(("127.0.0.1", int(sys.argv[1])), Handler) as server:
        server.serve_forever()
