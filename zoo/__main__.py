"""Print the versions of everything, and whether it works here: `python -m zoo`."""

import argparse
import json
import sys
from dataclasses import asdict

from zoo import selfcheck

MARKS = {"ok": "✓", "note": "·", "problem": "✗"}


def main() -> int:
    """Print versions and findings; 1 if there is a problem that breaks the demo."""
    parser = argparse.ArgumentParser(prog="python -m zoo", description=__doc__)
    parser.add_argument("--json", action="store_true", help="as one JSON object")
    parser.add_argument("--thorough", action="store_true", help="also read all data and ask Keras for its devices")
    arguments = parser.parse_args()
    found, versions = list(selfcheck.findings(arguments.thorough)), selfcheck.versions()
    if arguments.json:
        print(json.dumps({"versions": versions, "findings": [asdict(one) for one in found]}, indent=2))
    else:
        print(*(f"{name} {version}" for name, version in versions.items()), sep="\n", end="\n\n")
        for one in found:
            print(f"{MARKS[one.state]} {one.subject}: {one.says}" + (f"\n    -> {one.advice}" if one.advice else ""))
        count = {state: sum(one.state == state for one in found) for state in MARKS}
        verdict = f"The demo will not run: {count['problem']} to mend" if count["problem"] else "The demo runs here"
        print(f"\n{verdict}. What can be had besides: {count['note']}.")
    return int(any(one.state == "problem" for one in found))


if __name__ == "__main__":
    sys.exit(main())
