"""Types of arrays, and the errors of which FailureReason shows the text."""

from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

Floats: TypeAlias = NDArray[np.float32]
Doubles: TypeAlias = NDArray[np.float64]
Counts: TypeAlias = NDArray[np.int64]


class ContainerError(Exception):
    """The container cannot go on. `str` is what goes into /opt/ml/output/failure, prefix included."""

    prefix = "AlgorithmError"

    def __str__(self) -> str:
        return f"{self.prefix}: {super().__str__()}"


class ClientError(ContainerError):
    """The user's data or hyperparameters are wrong."""

    prefix = "ClientError"


class AlgorithmError(ContainerError):
    """The algorithm failed although nothing is known to be wrong with what it was given."""
