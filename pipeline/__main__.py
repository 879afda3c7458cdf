"""`python -m pipeline` prints the state machine; `--mermaid` draws it."""

import argparse
import json

from pipeline import diagram, drift, workflow
from pipeline.config import load


def main() -> None:
    """Renders the definition of the given settings; needs no credentials and no network."""
    parser = argparse.ArgumentParser(prog="python -m pipeline", description=main.__doc__)
    parser.add_argument("--config", default="pipeline.toml", help="the settings (default: %(default)s)")
    parser.add_argument("--drift", action="store_true", help="the drift check instead of the retraining")
    parser.add_argument("--mermaid", action="store_true", help="draw it as a Mermaid diagram")
    options = parser.parse_args()
    machine = drift if options.drift else workflow
    definition = machine.definition(load(options.config))
    print(diagram.mermaid(definition) if options.mermaid else json.dumps(definition, indent=2))


if __name__ == "__main__":
    main()
