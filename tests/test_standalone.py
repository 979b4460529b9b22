"""Networks that are taken away: a package for npm and a C header, each run as its user runs it.

`browser/test_alone.py` opens the page.
"""

import gzip
import json
import os
import re
import shutil
import subprocess

import numpy as np
import pytest
from conftest import real_data
from strokes import ARABIC_SEVEN, FOUR, SEVEN, THREE

import zoo
from scripts.bench.node import run
from zoo import hub, ink
from zoo.export import standalone
from zoo.portable import c_header, javascript, package, page

MODEL = "glyphnet_5k.mnist"
MAIN = """#include <stdio.h>
#include "network.h"
int main(void) {{
  unsigned char image[{pixels}];
  float probabilities[{classes}];
  while (fread(image, 1, sizeof image, stdin) == sizeof image) {{
    printf("%s", {prefix}_labels[{prefix}_read(image, probabilities)]);
    for (int i = 0; i < {classes}; i++) printf(" %.9g", probabilities[i]);
    printf("\\n");
  }}
  return 0;
}}
"""


@pytest.fixture(scope="module")
def shown():
    """Sketches as a network of mnist sees them."""
    rng = np.random.default_rng(0)
    turns = [np.eye(2) * rng.uniform(0.4, 1) + rng.normal(0, 0.1, (2, 2)) for _ in range(24)]
    shapes = [(THREE, SEVEN, FOUR, ARABIC_SEVEN)[index % 4] for index in range(24)]
    drawn = [[(np.array(s) - 0.5) @ turn + 0.5 for s in shape] for shape, turn in zip(shapes, turns, strict=True)]
    return np.stack([ink.from_strokes([s.tolist() for s in one], ink.MNIST, 1.0) for one in drawn])


@pytest.mark.parametrize("model", [MODEL, "glyphnet_2k.mnist", "lenet5.ahdd"])
def test_a_header_compiles_without_a_warning_and_answers_alike(tmp_path, model, shown):
    """Under the sanitizers of gcc, which end a program that reads or writes beyond its memory."""
    gcc = shutil.which("gcc") or pytest.skip("no gcc")
    predictor, prefix = zoo.load_predictor(model), c_header.prefix_of(model)
    (tmp_path / "network.h").write_text(c_header.header(hub.resolve(model)), encoding="utf-8")
    text = MAIN.format(pixels=28 * 28, classes=len(predictor.labels), prefix=prefix)
    (tmp_path / "main.c").write_text(text, encoding="utf-8")
    strict = [gcc, "-std=c99", "-pedantic", "-Wall", "-Wextra", "-Werror", "main.c"]
    subprocess.run([*strict, "-O1", "-fsanitize=address,undefined", "-o", "main"], cwd=tmp_path, check=True)
    done = subprocess.run(["./main"], input=shown.tobytes(), capture_output=True, cwd=tmp_path, check=True)
    lines = [line.split() for line in done.stdout.decode().splitlines()]
    expected = predictor(shown)
    np.testing.assert_allclose([[float(p) for p in line[1:]] for line in lines], expected, atol=1e-5)
    assert [line[0] for line in lines] == [predictor.labels[best] for best in expected.argmax(axis=1)]
    if model == MODEL:
        (tmp_path / "part.c").write_text(
            f'#include "network.h"\nint f(const unsigned char *x, float *y) {{ return {prefix}_read(x, y); }}\n'
        )
        subprocess.run([gcc, "-std=c99", "-Os", "-c", "part.c"], cwd=tmp_path, check=True)
        said = subprocess.run(["size", "part.o"], capture_output=True, text=True, cwd=tmp_path, check=True).stdout
        code, constants, memory = map(int, said.splitlines()[1].split()[:3])
        assert code + constants <= 30_000  # bytes
        assert memory <= 64_000


@pytest.mark.skipif(not (shutil.which("node") or "CI" in os.environ), reason="no Node: install nodejs")
def test_a_package_is_imported_by_its_name_and_its_example_runs(tmp_path):
    folder = tmp_path / "node_modules" / "glyphnet-5k-mnist"
    folder.parent.mkdir()
    package.write(hub.resolve(MODEL), folder)
    assert json.loads((folder / "package.json").read_text())["name"] == folder.name
    said = run((folder / "example.js").read_text().replace("./index.js", folder.name), tmp_path)
    assert re.match(r"7 \(\d{2,3}\.\d%\)\n0: 0\.", said)
    assert len((folder / "example.js").read_text().splitlines()) <= 10
    types = (folder / "index.d.ts").read_text()
    exported = set(
        re.findall(r"^export (?:async function|const|function) (\w+)", (folder / "index.js").read_text(), re.M)
    )
    assert exported == set(re.findall(r"^export (?:function|const) (\w+)", types, re.M))


@pytest.mark.parametrize("end", ["\u2028", "\u2029", "\r", "\n"])
def test_a_folder_s_name_ends_no_comment(tmp_path, end):
    folder = shutil.copytree(hub.resolve(MODEL), tmp_path / f"net{end}globalThis.owned = 1;")
    first, *_ = javascript.module(javascript.network_file(folder, "float16")).splitlines()
    assert re.fullmatch(r'// "net\\\w+globalThis\.owned = 1;", float16: .* Written by scripts/export\.py\.', first)
    assert not re.search(r"^globalThis", c_header.header(folder).replace("\r", "\n"), re.MULTILINE)


def test_a_page_is_small_and_names_no_address():
    file = page.network_file(hub.resolve(MODEL))
    made = page.page(file, page.card_facts(hub.resolve(MODEL), {"accuracy": 0.5, "test_samples": 10, "split": "test"}))
    assert "50.00% of 10 test samples" in made
    assert "LeCun" in made
    assert "Apache-2.0" in made
    assert len(gzip.compress(made.encode())) <= 40_000  # bytes
    asks = made.replace("http://www.w3.org/2000/svg", "")
    assert not re.search(r"https?:|[\"'(=]//|url\(|import\(|@import|fetch\(|src=\"[^\"]", asks)
    hostile = page.page({**file, "name": "</script><b>"}, [("</script>", "<script>")])
    assert hostile.count("<script") == 2
    assert "<b>" not in hostile


@real_data
def test_the_script_writes_what_it_says(run_script, tmp_path):
    done = run_script("export.py", "glyphnet_700.mnist", "--format", "html", "--int8")
    assert done.returncode == 0, done.stderr
    made = (tmp_path / "glyphnet_700.mnist.int8.html").read_text(encoding="utf-8")
    accuracy = re.search(r"int8, (\d\d\.\d\d%) of 10,000 test samples of mnist", done.stdout)[1]
    assert f"{accuracy} of 10,000 test samples" in made


def test_what_cannot_be_written_is_said_and_leaves_nothing(tmp_path):
    assert c_header.prefix_of("3 layers.é") == "net_3_layers__"
    for model, name, precision, words in (
        ("mobilenet_v2.pages70", "html", None, "reads whole pages"),
        ("mobilenet_v2.pages70", "c", None, "reads whole pages"),
        (MODEL, "c", "int8", "has weights in float32; got int8"),
        (MODEL, "htm", None, "no format 'htm'; did you mean html"),
    ):
        with pytest.raises(zoo.ZooError, match=words):
            standalone.write(hub.resolve(model), tmp_path / "target", name, precision)
        assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("number", "text"),
    [(1e-7, "1e-07f"), (-0.01, "-0.01f"), (2.0, "2.0f"), (1e10, "1e+10f"), (1.5e-5, "1.5e-05f"), (0.0, "0.0f")],
)
def test_a_number_is_written_as_c_reads_it(number, text):
    assert c_header.float_literal(number) == text
    assert float(text.rstrip("f")) == number


@pytest.mark.parametrize("key", ["accepts", "threshold"])
def test_what_a_network_does_not_say_is_left_out(tmp_path, key):
    folder = shutil.copytree(hub.resolve("glyphnet_700.mnist"), tmp_path / "glyphnet_700.mnist")
    said = folder / "preprocessor_config.json"
    said.write_text(json.dumps(json.loads(said.read_text()) | {key: None}))
    assert dict(page.card_facts(folder))["Limits"]
    assert c_header.header(folder)
    assert page.network_file(folder)


@pytest.mark.parametrize("write", [c_header.header, javascript.network_file])
@pytest.mark.parametrize(
    "change",
    [
        {"contract": {"height": '"); system("true"); ("'}},
        {"contract": {"height": 28, "width": 0}},
        {"contract": {"height": 28.0}},
        {"contract": {"stroke": float("nan")}},
        {"contract": ["28"]},
        {"labels": ["0", 1]},
        {"labels": {"0": 1}},
        {"accepts": "<script>"},
        {"accepts": float("inf")},
    ],
    ids=str,
)
def test_a_folder_that_says_something_else_is_not_exported(tmp_path, write, change):
    folder = shutil.copytree(hub.resolve("glyphnet_700.mnist"), tmp_path / "glyphnet_700.mnist")
    said = folder / "preprocessor_config.json"
    said.write_text(json.dumps(json.loads(said.read_text()) | change))
    with pytest.raises(zoo.ZooError, match=r"can be served: (its '(contract|labels|accepts)'|it holds (NaN|Infinity))"):
        write(folder)
