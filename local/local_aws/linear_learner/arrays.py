"""Names for the arrays that pass between the modules."""

from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

Floats: TypeAlias = NDArray[np.float32]
Doubles: TypeAlias = NDArray[np.float64]
Counts: TypeAlias = NDArray[np.int64]
