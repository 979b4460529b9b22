"""Write the board into README.md, and keep its frame (`records/board.jsonl`), from the records.

python scripts/update_readme.py           write it
python scripts/update_readme.py --check   exit with 1 if it is out of date
"""

import argparse
import re

import cli

from leaderboard import snapshot, table

README = cli.ROOT / "README.md"
SECTION = re.compile(r"(<!-- board[^>]*-->\n).*?(<!-- /board -->)", re.DOTALL)


def main() -> int:
    """Write or check the section."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--check", action="store_true", help="only tell whether it is up to date")
    arguments = parser.parse_args()
    if arguments.check and not snapshot.is_current():
        return 1
    if not arguments.check:
        snapshot.write()
    text = README.read_text(encoding="utf-8")
    updated = SECTION.sub(lambda match: match[1] + markdown() + match[2], text)
    if arguments.check:
        return int(text != updated)
    README.write_text(updated, encoding="utf-8")
    return 0


def markdown() -> str:
    """Return the board as a Markdown table: every row that was measured, the columns that fit a page."""
    rows = snapshot.load()
    rows = rows[rows["status"].isin([table.VERIFIED, table.STALE])]
    lines = [
        "| data | rank | model | accuracy % | 95% interval | wrong | macro F1 | robust % | parameters | efficiency |",
        "| --- | ---: | --- | ---: | --- | ---: | ---: | ---: | ---: | ---: |",
    ]
    for row in rows.to_dict("records"):
        said = {name: "" if value != value else table.BY_NAME[name].write(value) for name, value in row.items()}
        spread = f" ± {said['accuracy_std']}" if said["accuracy_std"] else ""
        stale = " (stale)" if row["status"] == table.STALE else ""
        lines.append(
            f"| {said['dataset']} | {said['rank']} | {said['model']}{stale} | {said['accuracy']}{spread} "
            f"| {said['accuracy_low']} – {said['accuracy_high']} | {said['errors']} | {said['macro_f1']} "
            f"| {said['robustness']} | {said['parameters']} | {said['efficiency_score']} |"
        )
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    cli.run(main)
