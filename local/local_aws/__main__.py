"""The command line: `python -m local_aws start|stop|status`."""

import sys

from local_aws.cloud import main

if __name__ == "__main__":
    sys.exit(main())
