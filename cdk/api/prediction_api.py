"""The prediction API: its Lambda, and the REST API that API Gateway deploys from the OpenAPI document."""

from aws_cdk import Aws, Duration, Stack
from aws_cdk import aws_apigateway as apigateway
from aws_cdk import aws_iam as iam
from aws_cdk import aws_lambda as lambda_
from constructs import Construct

from cdk.api import gateway
from cdk.api.openapi import document, write_package
from cdk.api.protection import add_canary, add_web_acl
from cdk.data import DataStore
from cdk.functions import function, log_group, output_folder
from cdk.permissions import allow, granted
from pipeline.config import Settings

STAGE = "v1"
LOGGED = ("http_method", "ip", "protocol", "request_time", "resource_path", "response_length", "status")


class PredictionApi(Construct):
    """The API: `function` answers the calls; `key_id` is the id of the key that counts them, None without metering."""

    def __init__(self, scope: Construct, settings: Settings, data: DataStore) -> None:
        super().__init__(scope, "Serving")
        project = settings.project.name
        explanations = ["runs/*/evaluation/explanation.json"] if settings.api.contributions else []
        documents = ["signatures/*", *explanations]
        predict = function(
            self,
            "Predict",
            "predict",
            code=lambda_.Code.from_asset(str(write_package(settings, output_folder(self) / "predict"))),
            environment={
                "DATA_BUCKET": data.bucket.bucket_name,
                "ENDPOINT_NAME": project,
                "URL_SUFFIX": Aws.URL_SUFFIX,
            },
            # API Gateway's integration timeout is 29 s (API Gateway quotas).
            timeout=Duration.seconds(29),
            allowed=[
                *granted(self, "predict", project),
                allow("s3:GetObject", *map(data.bucket.arn_for_objects, documents)),
                data.use_key("s3", write=False),
            ],
            concurrency=settings.api.concurrency or None,
        )
        self.function: lambda_.IFunction = predict
        if settings.api.rollout == "canary":
            self.function = add_canary(self, predict, project, STAGE)
        self.api = self._api(settings)
        if settings.api.waf_rate:
            add_web_acl(self, self.api.deployment_stage, settings.api.waf_rate)
        self.key_id = self._key(settings) if settings.api.metering else None

    def _api(self, settings: Settings) -> apigateway.SpecRestApi:
        stack = Stack.of(self)
        functions = f"arn:{stack.partition}:apigateway:{stack.region}:lambda:path/2015-03-31/functions"
        uri = f"{functions}/{self.function.function_arn}/invocations"
        definition = gateway.deployable(document(settings), integration_uri=uri, settings=settings)
        fields = {**dict.fromkeys(LOGGED, True), "caller": False, "user": False}
        log_format = apigateway.AccessLogFormat.json_with_standard_fields(**fields)
        api = apigateway.SpecRestApi(
            self,
            "Api",
            api_definition=apigateway.ApiDefinition.from_inline(definition),
            rest_api_name=settings.project.name,
            endpoint_types=[apigateway.EndpointType.REGIONAL],
            cloud_watch_role=False,
            deploy_options=apigateway.StageOptions(
                stage_name=STAGE,
                throttling_rate_limit=settings.api.rate_per_second,
                throttling_burst_limit=settings.api.burst,
                access_log_destination=apigateway.LogGroupLogDestination(log_group(self, "AccessLog")),
                access_log_format=log_format,
                tracing_enabled=True,
            ),
        )
        service = iam.ServicePrincipal("apigateway.amazonaws.com")
        self.function.add_permission("Api", principal=service, source_arn=api.arn_for_execute_api())
        return api

    def _key(self, settings: Settings) -> str:
        """Return the id of the usage plan's API key; create further keys in the plan, one per consumer."""
        limits, calls = settings.api, settings.api.calls_per_day
        plan = apigateway.UsagePlan(
            self,
            "Plan",
            api_stages=[apigateway.UsagePlanPerApiStage(api=self.api, stage=self.api.deployment_stage)],
            throttle=apigateway.ThrottleSettings(rate_limit=limits.rate_per_second, burst_limit=limits.burst),
            quota=apigateway.QuotaSettings(limit=calls, period=apigateway.Period.DAY) if calls else None,
        )
        key = apigateway.ApiKey(self, "Key")
        plan.add_api_key(key)
        return key.key_id
