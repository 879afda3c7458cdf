"""The containers that run here as programs, by the repository in their image's URI.

Further ones come from a JSON file named by SAGEMAKER_IMAGES: `{"<repository>": {"train": [...], "serve": [...]}}`, each
a command in which `{python}`, `{root}` (/opt/ml, or the folder in its place) and `{port}` are filled in.
"""

import json
import re
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from local_aws.sagemaker.api.errors import ValidationException
from local_aws.sagemaker.jobs.metrics import LINEAR_LEARNER

SOURCE = Path(__file__).resolve().parent.parent.parent
PYTHON = sys.executable


@dataclass(frozen=True)
class Image:
    """A container as commands; an empty one means that the container cannot do that.

    `script` runs a processing job's own entrypoint. `metrics` are names and regular expressions of the metrics that AWS
    reads from a built-in algorithm's log. `environment` is that of `train` and `serve`.
    """

    train: tuple[str, ...] = ()
    serve: tuple[str, ...] = ()
    script: bool = False
    metrics: dict[str, str] = field(default_factory=dict)
    environment: dict[str, str] = field(default_factory=dict)

    def command(self, action: str, port: int = 0) -> list[str]:
        """The command of `train` or `serve` with its blanks filled in."""
        blanks = {"python": PYTHON, "root": "/opt/ml", "port": str(port)}
        return [word.format(**blanks) for word in getattr(self, action)]


def registry(further: str | None = None) -> dict[str, Image]:
    """The images known here, plus those of a JSON file. Raises OSError, ValueError or TypeError for a bad file."""
    known = {
        "linear-learner": _own("linear_learner", metrics=LINEAR_LEARNER),
        "sagemaker-scikit-learn": _own("scikit_learn", script=True),
    }
    table = json.loads(Path(further).read_text()) if further else {}
    return known | {repository: Image(**commands) for repository, commands in table.items()}


def _own(package: str, **more: Any) -> Image:
    # -P: what lies in the container's folder is not to be imported.
    program = ("{python}", "-P", "-m", f"local_aws.{package}")
    return Image(
        train=(*program, "train", "--root", "{root}"),
        serve=(*program, "serve", "--root", "{root}", "--port", "{port}"),
        environment={"PYTHONPATH": str(SOURCE)},
        **more,
    )


def find(images: dict[str, Image], uri: str, action: str) -> Image:
    """The local image for a URI.

    AWS takes any URI and fails the job when it cannot pull it; here it is refused at once.

    Raises:
        ValidationException: Unknown repository, or one that does not do this.
    """
    repository = re.split("[:@]", uri.partition("/")[2])[0]
    able = [name for name, image in images.items() if getattr(image, action)]
    if repository not in able:
        task = {"train": "training", "serve": "model hosting", "script": "processing"}[action]
        raise ValidationException(
            f"No local program replaces the image '{uri}' in {task}. Known for it are the repositories: "
            f"{', '.join(sorted(able))}. Add yours to the file that SAGEMAKER_IMAGES names."
        )
    return images[repository]
