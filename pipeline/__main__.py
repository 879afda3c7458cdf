"""`python -m pipeline` prints the retrain machine; options print another machine, a diagram, or counts of states."""

import argparse
import json
import os

from pipeline import deploy, diagram, drift, retrain, score
from pipeline.config import load

MACHINES = {
    "retrain": retrain.definition,
    "deploy": deploy.definition,
    "drift": drift.definition,
    "score": score.definition,
}


def main() -> None:
    """Render the state machines of the given settings; needs no credentials and no network."""
    parser = argparse.ArgumentParser(prog="python -m pipeline", description=main.__doc__)
    default = os.environ.get("PIPELINE_CONFIG", "pipeline.toml")
    parser.add_argument("machine", nargs="?", choices=MACHINES, default="retrain", help="default: %(default)s")
    parser.add_argument("--config", default=default, help="the settings (default: %(default)s)")
    parser.add_argument("--mermaid", action="store_true", help="draw the machine as a Mermaid diagram")
    parser.add_argument("--stats", action="store_true", help="count the states of all machines by type")
    parser.add_argument("--docs", metavar="FILE", help="write the diagrams into FILE, between its markers")
    options = parser.parse_args()
    settings = load(options.config)
    machines = {name: definition(settings) for name, definition in MACHINES.items()}
    machine = machines[options.machine]
    if options.stats:
        print(diagram.stats(machines))
    elif options.docs:
        diagram.write(options.docs, machines)
    else:
        print(diagram.mermaid(machine) if options.mermaid else json.dumps(machine, indent=2))


if __name__ == "__main__":
    main()
