"""Create or update the Space: its files in one commit, its hardware, variables and secrets, and check the result.

    python scripts/deploy_space.py --dry-run
    python scripts/deploy_space.py --namespace me --hardware cpu-upgrade --secret HF_TOKEN --variable ZOO_NAMESPACE=me

The app's files tracked by git are deployed, with a requirements.txt without the training packages. The value of a
secret is read from the environment variable of its name, so that it appears in no command line and no log.
"""

import argparse
import logging
import os
import re
import subprocess
import time
from collections import Counter
from functools import partial
from pathlib import Path
from typing import Any

import cli
import yaml
from huggingface_hub import HfApi, SpaceHardware
from huggingface_hub.utils import get_session, hf_raise_for_status
from packaging.requirements import Requirement

from zoo import cards, environment, hub, settings
from zoo.errors import ZooError
from zoo.files import replacing

DEPLOYED = (
    "README.md", "CHANGELOG.md", "CITATION.cff", "CONTRIBUTING.md", "LICENSE", "requirements.txt", "spaces_app.py",
    "docs", "leaderboard", "zoo",
)  # fmt: skip
FIELDS = {"title", "sdk", "sdk_version", "python_version", "app_file"}  # that the README's front matter must have
FAILED = {"BUILD_ERROR", "RUNTIME_ERROR", "CONFIG_ERROR", "NO_APP_FILE"}
ASLEEP = {"SLEEPING", "PAUSED", "STOPPED"}
LOCAL = "leaderboard/local_records/"  # rows of this machine
PATIENCE = 15 * 60  # seconds for a Space to build and start
POLL = 5  # seconds


def main() -> int:
    """Run the command."""
    arguments = parse()
    cli.show_log(logging.StreamHandler())
    secrets = {name: secret(name) for name in arguments.secret}
    variables = {"ZOO_NAMESPACE": arguments.namespace} | dict(pair(text) for text in arguments.variable)
    repo = f"{arguments.namespace}/{arguments.name}"
    done = hub.push(
        repo, stage(arguments.staging), kind="space", owned=("*",), edited_card=arguments.cards,
        private=arguments.private, dry_run=arguments.dry_run,
        space_sdk="gradio", space_hardware=arguments.hardware,
    )  # fmt: skip
    print(f"{'would be ' if arguments.dry_run and done.differs else ''}{done}", flush=True)
    if arguments.dry_run:
        folders = Counter(path.partition("/")[0] for path in (*done.added, *done.changed))
        for name, count in sorted(folders.items()):
            print(f"  {name}" + (f"/ ({count} files)" if count > 1 else ""))
        named = ", ".join(variables), ", ".join(secrets) or "none"
        print(f"  hardware {arguments.hardware}; variables {named[0]}; secrets {named[1]}")
        return 0
    configure(repo, arguments.hardware, variables, secrets)
    if arguments.no_wait:
        return 0
    url = wait(repo)
    print(f"{repo}: {'running, private, so not visited' if arguments.private else smoke_test(url)}")
    return 0


def parse() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--namespace", default=settings.namespace(), help="user or organization (%(default)s)")
    parser.add_argument("--name", default="handwriting-zoo", help="the Space's (default: %(default)s)")
    parser.add_argument(
        "--hardware", choices=[str(hardware.value) for hardware in SpaceHardware], default="cpu-basic",
        metavar="NAME", help="hardware: cpu-basic (free, the default), cpu-upgrade, …",
    )  # fmt: skip
    parser.add_argument("--secret", action="append", default=[], metavar="NAME", help="value from the environment")
    parser.add_argument("--variable", action="append", default=[], metavar="NAME=VALUE", help="public setting")
    parser.add_argument("--dry-run", action="store_true", help="print what would be done; send nothing")
    parser.add_argument("--no-wait", action="store_true", help="do not wait for the build, and do not check the Space")
    parser.add_argument("--private", action="store_true", help="a new Space is private")
    parser.add_argument(
        "--cards", choices=("refuse", "keep", "replace"), default="refuse",
        help="what to do if the README was edited on the Hub (default: refuse, with a diff)",
    )  # fmt: skip
    parser.add_argument("--staging", type=Path, default=cli.ROOT / "runs" / "space", help="default: runs/space")
    return parser.parse_args()


def secret(name: str) -> str:
    """Return a secret's value; ZooError if the environment does not have it."""
    if not os.environ.get(name):
        raise ZooError(f"The secret {name} has no value: set the environment variable {name}.")
    return os.environ[name]


def pair(text: str) -> tuple[str, str]:
    """Split NAME=VALUE."""
    name, equals, value = text.partition("=")
    if not (name and equals):
        raise ZooError(f"--variable takes NAME=VALUE, not {text!r}.")
    return name, value


def stage(staging: Path) -> dict[str, Path]:
    """Return the files of the Space, path in the repo -> file here."""
    try:
        listed = subprocess.run(
            ["git", "-C", cli.ROOT, "ls-files", "-z", "--", *DEPLOYED], capture_output=True, text=True, check=True
        ).stdout
    except (OSError, subprocess.CalledProcessError) as error:
        raise ZooError(f"{cli.ROOT} is not a git checkout, so the files of the app are unknown ({error}).") from error
    files = {path: cli.ROOT / path for path in listed.split("\0") if path and (cli.ROOT / path).is_file()}
    if local := next((path for path in files if path.startswith(LOCAL)), None):
        raise ZooError(
            f"git tracks {local}, a row of this machine, and a Space shows only rows that everybody has: "
            f"git rm -r --cached {LOCAL}"
        )
    readme = (cli.ROOT / "README.md").read_text(encoding="utf-8")
    check_front_matter(readme, files)
    packages = "".join(f"{one.name}{extras_of(one)}{one.specifier}\n" for one in environment.requirements("space"))
    for path, text in {cards.CARD: cards.sealed(readme), "requirements.txt": packages}.items():
        with replacing(staging / path) as staged:
            staged.write_text(text, encoding="utf-8")
        files[path] = staging / path
    return files


def extras_of(requirement: Requirement) -> str:
    """Return the extras of a package as pip reads them: "[mcp,oauth]", or nothing."""
    return f"[{','.join(sorted(requirement.extras))}]" if requirement.extras else ""


def check_front_matter(readme: str, files: dict[str, Path]) -> None:
    """Raise ZooError unless the README's front matter tells the Hub how to run the Space."""
    match = re.match(r"---\n(.*?)\n---\n", readme, re.DOTALL)
    front = yaml.safe_load(match[1]) if match else {}
    if missing := FIELDS - front.keys():
        raise ZooError(f"The front matter of README.md lacks {', '.join(sorted(missing))}.")
    if front["app_file"] not in files:
        raise ZooError(f"README.md names {front['app_file']} as app_file, but git tracks no such file.")


def configure(repo: str, hardware: str, variables: dict[str, str], secrets: dict[str, str]) -> None:
    """Set what differs; secrets cannot be read back, so they are set each time."""
    api = HfApi()
    there = hub.attempted(lambda: api.get_space_variables(repo), repo)
    for name, value in variables.items():
        if name not in there or there[name].value != value:
            hub.attempted(partial(api.add_space_variable, repo, name, value), repo)
    for name, value in secrets.items():
        hub.attempted(partial(api.add_space_secret, repo, name, value), repo)
    runtime = hub.attempted(lambda: api.get_space_runtime(repo), repo)
    if hardware not in (runtime.hardware, runtime.requested_hardware):
        hub.attempted(lambda: api.request_space_hardware(repo, hardware), repo)


def wait(repo: str) -> str:
    """Return the Space's address once it runs, and start one that sleeps; ZooError if it fails or takes too long."""
    api = HfApi()
    deadline = time.monotonic() + PATIENCE
    started = False
    while (stage := str(hub.attempted(lambda: api.get_space_runtime(repo), repo).stage)) != "RUNNING":
        if stage in FAILED:
            raise ZooError(f"{repo} does not start: {stage}; see its build log on the Hub.")
        if stage in ASLEEP and not started:
            print(f"{repo} is {stage.lower()}: starting it", flush=True)
            hub.attempted(lambda: api.restart_space(repo), repo)
            started = True
        if time.monotonic() > deadline:
            raise ZooError(f"{repo} is still {stage} after {PATIENCE // 60} minutes.")
        time.sleep(POLL)
    return str(hub.attempted(lambda: api.space_info(repo), repo).host)


def smoke_test(url: str) -> str:
    """Check the page and the endpoints of a running Space; return a sentence, or raise ZooError."""

    def fetch(path: str) -> Any:
        response = get_session().get(f"{url}{path}", timeout=60)
        hf_raise_for_status(response)
        return response

    page = hub.attempted(lambda: fetch("/").text, url)
    endpoints = list(hub.attempted(lambda: fetch("/gradio_api/info").json(), url).get("named_endpoints", ()))
    if "gradio" not in page.lower() or not endpoints:
        raise ZooError(f"{url} answers, but not with the app: its endpoints are {', '.join(endpoints) or 'none'}.")
    return f"runs at {url}, with {', '.join(endpoints)}"


if __name__ == "__main__":
    cli.run(main)
