"""The images that AWS publishes for the jobs, as the SageMaker SDK knows them for every region."""

from pipeline.asl import image_uris


def image_uris_of(region: str) -> dict[str, str]:
    """Return the URIs by port: scikit-learn, whose libraries the requirements pin, and the linear learner."""
    return {
        "ProcessingImage": image_uris.retrieve("sklearn", region, version="1.4-2", instance_type="ml.m5.large"),
        "TrainingImage": image_uris.retrieve("linear-learner", region, version="1"),
    }
