"""Write docs/notebooks/first_steps.ipynb from docs/tutorials/notebook.md.

python -m scripts.chores.write_notebook           write it
python -m scripts.chores.write_notebook --check   exit with 1 if it is out of date
"""

import argparse
import re

import jupytext

from scripts import cli

PAGE = cli.ROOT / "docs" / "tutorials" / "notebook.md"
NOTEBOOK = cli.ROOT / "docs" / "notebooks" / "first_steps.ipynb"
OUTPUT = re.compile(r"(?<=\n```\n)\n```text\n.*?\n```\n", re.DOTALL)  # below a block of code: the cell prints it itself


def main() -> int:
    """Write or check the notebook."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--check", action="store_true", help="only check whether it is up to date")
    made = notebook()
    if parser.parse_args().check:
        return int(not NOTEBOOK.exists() or NOTEBOOK.read_text(encoding="utf-8") != made)
    NOTEBOOK.write_text(made, encoding="utf-8")
    return 0


def notebook() -> str:
    """Return the notebook as JSON; links lead from its own folder."""
    text = OUTPUT.sub("", PAGE.read_text(encoding="utf-8"))
    text = re.sub(r"\]\((\w+\.md)", r"](../tutorials/\1", text)
    made = jupytext.reads(text, fmt="md")
    made.metadata = {"kernelspec": {"name": "python3", "display_name": "Python 3", "language": "python"}}
    for number, cell in enumerate(made.cells):
        cell["id"] = f"cell-{number}"  # the same each time
    made.nbformat_minor = 5  # cells have ids
    written: str = jupytext.writes(made, fmt="ipynb")
    return written.rstrip("\n") + "\n"


if __name__ == "__main__":
    cli.run(main)
