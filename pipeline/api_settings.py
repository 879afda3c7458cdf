"""What pipeline.toml may say of the prediction API."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from pipeline.settings import Table, like


class Api(Table):
    """The route, who may call it and how much.

    10,000 requests/s and a burst of 5,000 are API Gateway's account quotas; a synchronous Lambda invocation takes 6 MB.
    `waf_rate` limits the calls of one address in 5 minutes; at least 10 (AWS WAF, rate-based rules). With `metering`
    each prediction needs a usage plan's key in x-api-key, beside `auth`.
    """

    path: Annotated[str, like("(/[A-Za-z0-9._-]+)+", "/predict")]
    auth: Literal["iam", "cognito", "none"] = "iam"
    user_pool: Annotated[str, like("(arn:[a-z-]+:cognito-idp:.+:userpool/.+)?", "arn:aws:cognito-idp:…")] = ""
    rate_per_second: Annotated[float, Field(gt=0, le=10_000)] = 50
    burst: Annotated[int, Field(ge=1, le=5_000)] = 100
    max_rows: Annotated[int, Field(ge=1, le=100_000)] = 1_000
    max_bytes: Annotated[int, Field(ge=1, le=6_000_000)] = 1_000_000
    metering: bool = False
    calls_per_day: Annotated[int, Field(ge=0)] = 0
    cors_origin: Annotated[str, like(r"(\*|https?://[A-Za-z0-9.:-]+)?", "https://example.org")] = ""
    waf_rate: Annotated[int, Field(ge=0, le=2_000_000_000)] = 0
    concurrency: Annotated[int, Field(ge=0, le=10_000)] = 0
    rollout: Literal["all_at_once", "canary"] = "all_at_once"

    @model_validator(mode="after")
    def _is_complete(self) -> Self:
        if (self.auth == "cognito") != bool(self.user_pool):
            raise ValueError("auth cognito and user_pool go together: give the ARN of an existing user pool")
        if self.calls_per_day and not self.metering:
            raise ValueError("calls_per_day counts by key: set metering = true")
        if 0 < self.waf_rate < 10:
            raise ValueError("waf_rate is 0, no WAF, or at least 10 calls in 5 minutes")
        return self
