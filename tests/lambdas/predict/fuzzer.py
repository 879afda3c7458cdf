"""Hooks of the fuzzer: calls are signed, and a body of CSV is sent as it is."""

import schemathesis

from tests.lambdas.predict.signed import Signed

schemathesis.auth.set_from_requests(Signed())  # type: ignore[attr-defined]  # both a function and a module


@schemathesis.serializer("text/csv")
def csv(_: object, value: object) -> bytes:
    return value if isinstance(value, bytes) else str(value).encode("utf-8", "surrogatepass")
