"""The documentation as a whole: it builds without a warning, names what is there, and asks nobody else for anything."""

import contextlib
import json
import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from conftest import ROOT

from scripts.bench import measurements
from scripts.bench.measurements import Measurement, Table
from scripts.chores import update_tables
from zoo import registry
from zoo.__main__ import parser as zoo_parser
from zoo.errors import ZooError

PAGES = sorted((ROOT / "docs").rglob("*.md"))
AT_THE_TOP = [ROOT / name for name in ("README.md", "CONTRIBUTING.md", "CHANGELOG.md")]


def test_the_site_builds_strictly_and_loads_nothing_from_elsewhere(checkout):
    command = [Path(sys.executable).parent / "zensical", "build", "--strict"]
    done = subprocess.run(command, cwd=checkout, capture_output=True, text=True, timeout=300)
    said = done.stdout + done.stderr
    assert done.returncode == 0, said
    assert "griffe: " not in said  # a docstring that does not fit its function
    pages = {
        path.relative_to(checkout / "site").as_posix(): path.read_text() for path in checkout.glob("site/**/*.html")
    }
    assert {page.relative_to(ROOT / "docs").with_suffix(".html").as_posix() for page in PAGES} <= pages.keys()
    assert 'id="zoo.load_predictor"' in pages["api/zoo.html"]
    for name, page in pages.items():
        assert not re.findall(r'<(?:script|img|iframe)[^>]*\ssrc="?https?:|<link[^>]*stylesheet[^>]*https?:', page), (
            name
        )


def test_every_page_has_its_place_in_the_navigation():
    listed = re.findall(r"[\w/]+\.md", (ROOT / "mkdocs.yml").read_text().partition("nav:")[2])
    assert sorted(listed) == [page.relative_to(ROOT / "docs").as_posix() for page in PAGES]


GENERATED = re.compile(
    r"<!-- ([\w ]+):[^>]*-->.*?<!-- /\1 -->|\A---\n.*?\n---\n|^```.*?^```$|`[^`]*`|\]\([^)]*\)", re.S | re.M
)
NUMBER = r"(?<![\w.,])\d[\d,]*(?:\.\d+)?"
FIGURE = re.compile(
    r"(?<![\w.-])(?<!Python )(?<!TensorFlow )(?<!Runtime )\d[\d,]*\.\d+(?![\w.]*\w)"
    rf"|{NUMBER}(?:\s?(?:%|per ?cent\b)|(?:min|h|x)\b|×)"
    rf"|(?<!at most )(?<!within ){NUMBER}\s?(?:[nuµm]?s|[kMG]B|seconds?|minutes?|hours?)\b"
    rf"|{NUMBER} of (?:the )?{NUMBER}"
)
RULES = (  # numbers that say what is done, not what was measured
    "95% interval",
    "95% of a bootstrap",
    "and 5% is the limit",
    "in at least 95 of 100 such boards",
    "for example, *1 of 3*",
    "would take more than 300 s",
    "busy for it for 240 minutes of a day",
    "99% of the validation samples",
    "(10% of a smaller set)",
    "at most 1% of the answers",
    "60% of the images are also damaged",
    "10% additional images",
    "covers 95% of the lines",
    "(minimum 90%)",
    "kills at least 90%",
    "(minimum 80%)",
)
SOURCE = re.compile(r"^Measured: \d.* 20\d\d, commits? .*[0-9a-f]{7}.*, .*", re.M)


def unsourced(page: str) -> list[str]:
    """Return the figures of a page that neither come from a record nor from a section that says when and where.

    A figure is a number with decimals, a percent, a factor, a number of seconds or bytes, or one number of another,
    outside of generated tables, code and `RULES`. A limit says "at most" or "within" and a number of seconds or bytes.
    """
    sections = re.split(r"^(?=## )", GENERATED.sub("", page), flags=re.M)
    unsaid = (without_rules(section) for section in sections if not SOURCE.search(section))
    return [figure for part in unsaid for figure in FIGURE.findall(part)]


def without_rules(text: str) -> str:
    """Return a text in one line without the sentences about rules."""
    text = " ".join(text.split())
    for rule in RULES:
        text = text.replace(rule, "")
    return text


def test_every_figure_is_generated_or_says_when_and_where_it_was_measured():
    texts = {page: page.read_text(encoding="utf-8") for page in (*AT_THE_TOP, *PAGES)}
    found = {str(page.relative_to(ROOT)): unsourced(text) for page, text in texts.items()}
    assert {name: figures for name, figures in found.items() if figures} == {}
    said = " ".join(" ".join(texts.values()).split())
    assert [rule for rule in RULES if rule not in said] == []
    part = "# A\n\n## B\n\nIt reads 99.12% (`0.5`).\n"
    assert unsourced(part) == ["99.12"]
    assert unsourced(part + "\nMeasured: 1 May 2026, commit 0123abc, a machine.\n") == []
    assert unsourced(part + "\n## C\n\nMeasured: 1 May 2026, commit 0123abc, a machine.\n") == ["99.12"]
    assert unsourced("# A\n\nMeasured: 1 May 2026, commit 0123abc, a machine.\n\n## B\n\n99.12\n") == ["99.12"]
    assert unsourced("# A\n<!-- t: by a script -->\n99.12\n<!-- /t -->\n") == []


@pytest.mark.parametrize(
    ("sentence", "figures"),
    [
        ("It reads 99% of the test set, with a 95% interval.", ["99%"]),
        ("97 % right, or 3-5 percent wrong", ["97 %", "5 percent"]),
        ("takes 7.5s, 40ms, 12µs or 2h", ["7.5s", "40ms", "12µs", "2h"]),
        ("12.5x faster, then 8x and 3×", ["12.5x", "8x", "3×"]),
        (
            "takes 265 MB, 3GB or 40 kB, 12 seconds, 20 minutes, 2 hours",
            ["265 MB", "3GB", "40 kB", "12 seconds", "20 minutes", "2 hours"],
        ),
        ("7 of the 70 pairs, 22 of 28 or 0 of 788,080 answers", ["7 of the 70", "22 of 28", "0 of 788,080"]),
        ("at most 20 GB within 20 s, at most 99.12%", ["99.12"]),
        ("28 x 28 images of Python 3.11 with glyphnet_100k_x3, version 0.2.0, a 3x3 kernel and mp4s", []),
    ],
)
def test_what_a_figure_is(sentence, figures):
    assert unsourced(f"# A\n\n{sentence}\n") == figures


def test_what_a_benchmark_measured_survives_until_the_page(tmp_path, monkeypatch, capsys):
    """With a unit, an n and a missed target, for which it exits with 1; without a place on a page it is an error."""
    monkeypatch.setattr(measurements, "FOLDER", tmp_path / "measured")
    monkeypatch.setattr(sys, "argv", ["scripts/bench/made_up.py", "--rounds", "2", "--write"])
    parser = measurements.parser("Made up.")
    parser.add_argument("--rounds")
    cells = [
        Measurement("sketches", 1333.7, "/s", least=1200, n=40_000),
        Measurement("pictures", 93.61, "/s", least=150, n=7),
        Measurement("one sketch", 0.05123, "ms", most=2),
        Measurement("one sketch", 250, "times", column="Keras"),
        Measurement("accuracy", 99.1, "%"),
        Measurement("errors", 0, most=0),
    ]
    assert measurements.conclude("made_up", parser.parse_args(), [Table("what", cells)]) == 1
    page = "<!-- measured made_up: by a script -->\n<!-- /measured made_up -->"
    pages = {name: (ROOT / name).read_text(encoding="utf-8") for name in update_tables.PAGES}
    written = update_tables.with_tables({**pages, "page": page})["page"].splitlines()
    assert written[1:9] == [
        "| what | measured | Keras | target | n |",
        "| --- | ---: | ---: | ---: | ---: |",
        "| sketches | 1,334 /s |  | measured ≥ 1,200 /s | 40,000 |",
        "| pictures | 93.6 /s |  | measured ≥ 150 /s, missed | 7 |",
        "| one sketch | 0.0512 ms | 250 times | measured ≤ 2 ms |  |",
        "| accuracy | 99.10% |  |  |  |",
        "| errors | 0 |  | measured ≤ 0 |  |",
        "",
    ]
    assert re.fullmatch(
        r"Measured: 20\d\d-\d\d-\d\d, commit [0-9a-f]{12}\+?, .*\d cores, load \d+\.\d; "
        r"`python -m scripts.bench.made_up --rounds 2`", written[9]
    )  # fmt: skip
    assert "≥ 150 /s, missed" in capsys.readouterr().out
    with pytest.raises(ZooError, match="<!-- measured made_up:"):
        update_tables.with_tables(pages)
    (measurements.FOLDER / "made_up.json").write_text("{}")
    with pytest.raises(ZooError, match="not a file of measurements: it lacks command"):
        measurements.markdown("made_up")


def test_what_every_benchmark_measures_has_a_place_on_a_page():
    """Else `make bench` would end with an error, after all its work."""
    programs = (path.read_text(encoding="utf-8") for path in (ROOT / "scripts" / "bench").glob("*.py"))
    names = {name for text in programs for name in re.findall(r'\bconclude\("(\w+)"', text)}
    assert len(names) >= 15
    pages = "".join((ROOT / name).read_text(encoding="utf-8") for name in update_tables.PAGES)
    assert names == set(re.findall(r"<!-- measured (\w+): [^>]*-->\n", pages))
    assert names == set(measurements.names())


def test_a_benchmark_that_meets_its_targets_ends_well_and_keeps_nothing_unasked(tmp_path, monkeypatch):
    monkeypatch.setattr(measurements, "FOLDER", tmp_path)
    found = Table("what", [Measurement("one image", 1, "ms", most=1), Measurement("rate", 9, "/s")])
    assert measurements.conclude("made_up", measurements.parser("").parse_args([]), [found]) == 0
    assert measurements.names() == []


def test_no_description_of_a_network_has_figures_that_its_record_has_or_nothing_has():
    """Its card and its page show both. Tables of settings are not meant: they say how it is trained."""
    notes = {name: re.sub(r"^\|.*$", "", one.notes, flags=re.M) for name, one in registry.architectures().items()}
    found = {name: unsourced(text) for name, text in notes.items()}
    assert {name: figures for name, figures in found.items() if figures} == {}


@pytest.mark.parametrize("page", AT_THE_TOP, ids=lambda path: path.name)
def test_what_is_linked_is_there(page):
    links = re.findall(r"\]\((?!https?:)([^)#]+)", page.read_text(encoding="utf-8"))
    assert [link for link in links if not (ROOT / link).exists()] == []


def test_the_notebook_is_made_of_its_tutorial_whose_blocks_are_run():
    pytest.importorskip("jupytext")
    from scripts.chores import write_notebook

    made = write_notebook.notebook()
    assert write_notebook.NOTEBOOK.read_text(encoding="utf-8") == made, "python -m scripts.chores.write_notebook"
    cells = ["".join(cell["source"]) for cell in json.loads(made)["cells"] if cell["cell_type"] == "code"]
    blocks = re.findall(r"```python\n(.*?)\n```", write_notebook.PAGE.read_text(encoding="utf-8"), re.DOTALL)
    assert cells == blocks


@pytest.mark.parametrize("page", ["README.md", "docs/index.md"])
def test_the_first_lines_of_python_run(page):
    block = re.search(r"```python\n(.*?)```", (ROOT / page).read_text(encoding="utf-8"), re.DOTALL)
    exec(compile(block[1], page, "exec"), scope := {})
    assert scope["predictor"].name == "lenet5.mnist"


def test_a_signal_that_stops_make_stops_the_space(tmp_path):
    """The Space is stood in for by a program that says its process number and waits."""
    space = tmp_path / "python"
    space.write_text("#!/bin/sh\necho $$; exec sleep 60\n")
    space.chmod(0o755)
    command = ["make", "--silent", "--old-file=.venv/demo", f"BIN={tmp_path}", "demo"]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as make:
        process = int(make.stdout.readline())
        make.terminate()
        try:
            make.communicate(timeout=10)  # ends when no process can write to it any more
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.kill(process, signal.SIGKILL)


def test_the_container_holds_what_the_demo_runs():
    """It is not built here: what it copies is there and not kept from the builder, and it starts what `make` does."""
    said = (ROOT / "Containerfile").read_text(encoding="utf-8")
    copied = [path for line in said.splitlines() if line.startswith("COPY") for path in line.split()[2:-1]]
    sent = {line[1:] for line in (ROOT / ".containerignore").read_text().splitlines() if line.startswith("!")}
    assert sent == set(copied)
    assert all((ROOT / path).exists() for path in copied)
    assert (ROOT / ".dockerignore").read_text() == (ROOT / ".containerignore").read_text()
    program = re.search(r'^CMD \["python", "(.*)"\]', said, re.MULTILINE)[1]
    workers = re.search(r"ZOO_WORKERS=(\d)", said)[1]
    assert f"ZOO_WORKERS={workers} exec $(BIN)/python {program}" in (ROOT / "Makefile").read_text()
    front = yaml.safe_load((ROOT / "README.md").read_text(encoding="utf-8").split("---")[1])
    assert f"FROM python:{front['python_version']}-slim" in said
    checked = re.search(r'CMD \["python", "-c", "(.*)"\]', said)[1]
    compile(checked, "healthcheck", "exec")
    uid = re.search(r"useradd .*--uid (\d+) zoo", said)[1]
    assert f"\nUSER {uid}\n" in said.partition("\nCMD")[0]
    lint = Path(sys.executable).parent / "hadolint"
    done = subprocess.run([lint, ROOT / "Containerfile"], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stdout


def test_the_services_of_the_compose_file_are_healthy_when_they_are_ready():
    services = yaml.safe_load((ROOT / "compose.yaml").read_text(encoding="utf-8"))["services"]
    assert services["zoo"]["build"] == {"context": ".", "dockerfile": "Containerfile"}
    for service in services.values():
        assert service["image"] == "handwriting-zoo"
        *python, code = service["healthcheck"]["test"]
        assert python == ["CMD", "python", "-c"]
        compile(code, "healthcheck", "exec")
        assert "/readyz" in code
        assert [port.partition(":-")[2].partition("}")[2] for port in service["ports"]] == [":7860"]
    program, *arguments = services["api"]["command"]
    assert program == "handwriting-zoo"
    chosen = zoo_parser().parse_args([one.replace("${ZOO_API_WORKERS:-2}", "2") for one in arguments])
    assert (chosen.workers, chosen.host, chosen.port) == (2, "0.0.0.0", 7860)


def test_licence_and_citation_say_what_the_package_says():
    licence = (ROOT / "LICENSE").read_text()
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text())
    project = (ROOT / "pyproject.toml").read_text()
    import zoo

    assert "Apache License" in licence
    assert f'license = "{citation["license"]}"' in project
    assert citation["version"] == zoo.__version__
    assert f"## {zoo.__version__}" in (ROOT / "CHANGELOG.md").read_text()
