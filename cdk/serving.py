"""The prediction API: the invoke Lambda, and the REST API in front of it."""

from aws_cdk import Aws, Duration, Stack
from aws_cdk import aws_apigateway as apigateway
from aws_cdk import aws_iam as iam
from aws_cdk import aws_lambda as lambda_
from constructs import Construct

from cdk import assembly, gateway, openapi, permissions
from cdk.canary import canary
from cdk.firewall import firewall
from cdk.functions import function, log_group
from cdk.predict_bundle import write_bundle
from pipeline.api_settings import Api
from pipeline.config import Settings

STAGE = "v1"


class Serving(Construct):
    """The routes of the OpenAPI document, authorised, throttled and logged; `function` is what answers them.

    `key_id` names the key that calls are counted by, if they are.
    """

    def __init__(self, scope: Construct, construct_id: str, *, settings: Settings, endpoint_name: str) -> None:
        super().__init__(scope, construct_id)
        bundle = write_bundle(settings, assembly.folder(self) / "predict")
        predict = function(
            self,
            "Predict",
            code=lambda_.Code.from_asset(str(bundle)),
            handler="predict.handler.handle",
            environment={"ENDPOINT_NAME": endpoint_name, "URL_SUFFIX": Aws.URL_SUFFIX},
            # API Gateway gives up after 29 s (API Gateway quotas, integration timeout).
            timeout=Duration.seconds(29),
            allowed=permissions.predict(Stack.of(self), settings.project.name, endpoint_name),
            concurrency=settings.api.concurrency or None,
        )
        self.function: lambda_.IFunction = predict
        if settings.api.rollout == "canary":
            self.function = canary(self, function=predict, api_name=settings.project.name, stage=STAGE)
        self.api = self._api(settings)
        if settings.api.firewall_rate:
            firewall(self, stage=self.api.deployment_stage, rate=settings.api.firewall_rate)
        self.key_id = self._key(settings.api) if settings.api.metering else None

    def _api(self, settings: Settings) -> apigateway.SpecRestApi:
        """The API, deployed from the same OpenAPI document that it serves."""
        stack = Stack.of(self)
        functions = f"arn:{stack.partition}:apigateway:{stack.region}:lambda:path/2015-03-31/functions"
        definition = gateway.deployable(
            openapi.document(settings),
            integration_uri=f"{functions}/{self.function.function_arn}/invocations",
            api=settings.api,
        )
        access = apigateway.AccessLogFormat.json_with_standard_fields
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
                access_log_format=access(caller=False, http_method=True, ip=True, protocol=True, request_time=True,
                                         resource_path=True, response_length=True, status=True, user=False),
                tracing_enabled=True,
            ),
        )  # fmt: skip
        self.function.add_permission(
            "Api",
            principal=iam.ServicePrincipal("apigateway.amazonaws.com"),
            source_arn=api.arn_for_execute_api(),
        )
        return api

    def _key(self, settings: Api) -> str:
        """A usage plan with one key; give each consumer a key of its own in it."""
        quota = apigateway.QuotaSettings(limit=settings.calls_per_day, period=apigateway.Period.DAY)
        plan = apigateway.UsagePlan(
            self,
            "Plan",
            api_stages=[apigateway.UsagePlanPerApiStage(api=self.api, stage=self.api.deployment_stage)],
            throttle=apigateway.ThrottleSettings(rate_limit=settings.rate_per_second, burst_limit=settings.burst),
            quota=quota if settings.calls_per_day else None,
        )
        key = apigateway.ApiKey(self, "Key")
        plan.add_api_key(key)
        return key.key_id
