"""The command line: `python -m local_aws start|stop|status|env|exec|beside|run`."""

import sys

from local_aws.command import main

if __name__ == "__main__":
    sys.exit(main())
