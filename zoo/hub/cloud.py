"""Write and submit a command for the Hub's machines (Hugging Face Jobs).

What it makes goes into a bucket that is mounted as its folder of runs, so a job that was stopped goes on there, and
`hf buckets sync` brings the runs home.
"""

import shlex
from dataclasses import dataclass

from zoo.hub.failures import Backoff, attempted
from zoo.hub.pushing import require_token

IMAGE = "python:3.11"
CODE, RUNS = "/code", "/runs"  # in the machine
ONCE = Backoff(attempts=1, first=1.0, longest=1.0)  # an answer that was lost may have been a job that was begun


@dataclass(frozen=True)
class CloudJob:
    """One submission.

    name: what people see.
    command: what is run in the repository's root.
    source: the repository, as `git clone` takes it, and `commit` of it.
    bucket: owner/name on the Hub, mounted at `RUNS`.
    flavor: the hardware, as `hf jobs hardware` lists it.
    timeout: as "30m" or "6h".
    """

    name: str
    command: tuple[str, ...]
    source: str
    commit: str
    bucket: str
    flavor: str = "cpu-basic"
    timeout: str = "6h"

    @property
    def script(self) -> str:
        """What the machine's shell does."""
        packages = ["-r", "requirements.txt"] + ([] if self.flavor.startswith("cpu") else ["tensorflow[and-cuda]"])
        steps = (
            ("git", "clone", "--quiet", self.source, CODE),
            ("cd", CODE),
            ("git", "checkout", "--quiet", self.commit),
            ("pip", "install", "--quiet", *packages),
            self.command,
        )
        return " && ".join(shlex.join(step) for step in steps)

    @property
    def shell(self) -> str:
        """The same as a line for a terminal, exactly."""
        return shlex.join(
            [
                *("hf", "jobs", "run", "--detach", "--name", self.name, "--flavor", self.flavor),
                *("--timeout", self.timeout, "--secrets", "HF_TOKEN", "--namespace", self.bucket.partition("/")[0]),
                *("--volume", f"hf://buckets/{self.bucket}:{RUNS}", IMAGE, "bash", "-c", self.script),
            ]
        )

    def submit(self) -> str:
        """Begin it and return its page; ZooError without a token, or if the Hub refuses it."""
        from huggingface_hub import HfApi, Volume, get_token

        require_token()
        call = HfApi().run_job
        job = attempted(
            lambda: call(
                image=IMAGE, command=["bash", "-c", self.script], flavor=self.flavor, timeout=self.timeout,
                name=self.name, namespace=self.bucket.partition("/")[0], secrets={"HF_TOKEN": get_token()},
                volumes=[Volume(type="bucket", source=self.bucket, mount_path=RUNS)],
            ),
            f"The job {self.name}", ONCE,
        )  # fmt: skip
        return str(job.url)
