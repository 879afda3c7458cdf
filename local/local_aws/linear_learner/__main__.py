"""`python -m local_aws.linear_learner train --root DIR` and `serve --root DIR --port N`; DIR is laid out as /opt/ml."""

import os
import sys

from local_aws.container_program import main

if __name__ == "__main__":
    # The products are small: a second BLAS thread costs more than it brings, and batches are read beside them.
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    sys.exit(main("local_aws.linear_learner"))
