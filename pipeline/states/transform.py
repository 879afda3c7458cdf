"""A batch transform job: a model scores the rows in a folder."""

from pipeline.asl import Intrinsic, Transformer, TransformStep
from pipeline.settings import Instances
from pipeline.states.building import KEY, START_UP_SECONDS, Building, job_name, session, volume_key


def transform(
    build: Building,
    state_id: str,
    kind: str,
    *,
    model: Intrinsic,
    size: Instances,
    content_type: str,
    source: Intrinsic,
    target: Intrinsic,
) -> TransformStep:
    """The job without its Retry and Catch; JSON Lines out, as the linear learner has no CSV answers."""
    transformer = Transformer(
        model_name="filled-by-the-step",
        instance_count=size.instance_count,
        instance_type=size.instance_type,
        strategy="MultiRecord",
        assemble_with="Line",
        accept="application/jsonlines",
        output_path="s3://${DataBucket}",
        output_kms_key=KEY,
        volume_kms_key=volume_key(size.instance_type),
        sagemaker_session=session(),
    )
    return TransformStep(
        state_id,
        transformer=transformer,
        job_name=job_name(build.project, kind),
        model_name=model,
        data="s3://${DataBucket}",
        content_type=content_type,
        split_type="Line",
        timeout_seconds=size.max_runtime_minutes * 60 + START_UP_SECONDS,
        result_path=None,
        parameters={
            "TransformInput": {"DataSource": {"S3DataSource": {"S3Uri": source}}},
            "TransformOutput": {"S3OutputPath": target},
        },
    )
