"""The Hub on a bad day: many repos pushed and pulled side by side while requests go wrong in every way."""

import itertools
import random
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest
from hub_repos import contents
from hub_server import Fault

import zoo
from zoo import cards
from zoo.hub import MODEL_FILES, Backoff, pull, push


@pytest.mark.slow
def test_200_faults_leave_every_repo_complete_or_untouched(hub, token, tmp_path):
    budget, repos = 200, 16
    rng, lock, injected = random.Random(0), threading.Lock(), []
    kinds = [Fault(status=status) for status in (409, 412, 500, 503)] + [Fault(cut=True), Fault(lost=True)]
    kinds += [Fault(status=429, headers=(("Retry-After", "0"),)), Fault(slow=0.01)]
    corrupt = Fault(corrupt=True)

    def choose(method: str, path: str) -> Fault | None:
        with lock:
            # Other bytes are a storage's fault: in the Hub's own answers they would be another Hub. Threads race to
            # the requests, so the first one to the storage gets that fault, and one is kept for it.
            from_storage = method == "GET" and path.startswith("/cdn/")
            awaited = corrupt not in {fault for fault, *_ in injected}
            if from_storage and awaited:
                injected.append((corrupt, method, path))
                return corrupt
            if len(injected) < budget - awaited and rng.random() < 0.3:
                fault = rng.choice([*kinds, *[corrupt] * 5] if from_storage else kinds)
                injected.append((fault, method, path))
                return fault
        return None

    hub.choose_fault = choose

    def work(number: int) -> int:
        """Push and pull version after version until the faults are spent; return how many calls gave up."""
        repo, gave_up, versions = f"me/lenet5.set{number}", 0, []
        for version in itertools.count():
            last = len(injected) >= budget
            files = {}
            for name in (*MODEL_FILES, "README.md"):
                files[name] = tmp_path / str(number) / name
                files[name].parent.mkdir(exist_ok=True)
                files[name].write_bytes(random.Random(f"{repo} {name} {version}").randbytes(300))
            files["README.md"].write_text(cards.sealed(f"# Version {version}"), encoding="utf-8")
            versions.append(contents(files))
            try:
                backoff = Backoff(attempts=12 if last else 4, first=0.01)
                push(repo, files, backoff=backoff)
                assert hub.repo(repo).files == versions[-1]
                pulled = {path.name: path.read_bytes() for path in pull(repo, backoff=backoff).iterdir()}
                assert pulled in versions  # a Hub that failed when it was asked for the newest: the last one seen
                assert pulled == versions[-1] or not last
            except zoo.ZooError:
                assert not last
                gave_up += 1
            history = hub.repos[("model", repo)].commits[1:] if ("model", repo) in hub.repos else []
            for _, _, tree in history:
                assert {p: b.data for p, b in tree.items() if p != ".gitattributes"} in versions
            if last:
                return gave_up

    with ThreadPoolExecutor(repos) as pool:  # side by side: the client itself waits a second after most faults
        gave_up = sum(pool.map(work, range(repos)))
    assert len(injected) == budget
    assert {fault for fault, *_ in injected} == {*kinds, corrupt}
    assert gave_up < budget / 4  # most are got over
