"""The images that AWS publishes for the jobs, as the SageMaker SDK knows them for every region."""

from pipeline.asl import image_uris

PROCESSING_VERSION = "1.4-2"
TRAINING_VERSION = "1"


def processing(region: str) -> str:
    """The URI of the scikit-learn image, whose libraries the requirements pin to the version."""
    uri: str = image_uris.retrieve("sklearn", region, version=PROCESSING_VERSION, instance_type="ml.m5.large")
    return uri


def training(region: str) -> str:
    """The URI of the built-in linear learner, for training and for serving."""
    uri: str = image_uris.retrieve("linear-learner", region, version=TRAINING_VERSION)
    return uri
