"""`python -m local_aws.scikit_learn train --root DIR` and `serve --root DIR --port N`; DIR is laid out as /opt/ml."""

import sys

from local_aws.container_program import main

if __name__ == "__main__":
    sys.exit(main("local_aws.scikit_learn"))
