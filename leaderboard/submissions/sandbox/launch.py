"""The start of a sandboxed process: confine it, try what must not work, and import everything else only then.

    python -I -B launch.py ROOT SETTINGS

A process can enter its own namespaces only while it has one thread, so nothing but the standard library comes first.
"""

import importlib.util
import json
import sys
from pathlib import Path


def main() -> None:
    """Confine this process and hand it to `child`."""
    root, settings = sys.argv[1], json.loads(sys.argv[2])
    here = str(Path(__file__).parent), str(Path(root, "zoo", "processes"))
    sys.path[:0] = here  # the two stand alone: importing a package imports its parents
    confinement, probes = (importlib.import_module(name) for name in ("confinement", "probes"))
    sys.path[: len(here)] = [root]
    for package in ("leaderboard", "zoo"):  # found now, since what lies next to them must not be listed later
        importlib.util.find_spec(package)
    resources = confinement.Resources(**settings["resources"])
    readable, attended = [Path(path) for path in settings["readable"]], settings["attended"]
    granted = confinement.confine(Path.cwd(), readable, resources, attended)
    tried = probes.tried(probes.Surroundings(Path.cwd(), resources.memory, resources.file, **settings["probes"]))
    child = importlib.import_module("leaderboard.submissions.sandbox.child")
    child.main(settings["warm"], {**granted, "probes": tried}, attended)


if __name__ == "__main__":
    main()
