"""Run submissions through several workers, some of which are killed; some submissions use the real sandbox.

    python -m scripts.bench.submissions                                 200 submissions, 20 of them real, two workers
    python -m scripts.bench.submissions --count 40 --real 5 --kills 0

The real ones are small networks on optdigits; every fifth of them uses its position in the batch and must be rejected.
The others get an invented measurement, to test the queue. The exit status is 1 if one ends differently.
"""

import argparse
import random
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
from onnx import TensorProto, helper, numpy_helper

from leaderboard.submissions import intake
from leaderboard.submissions.intake import Limits
from leaderboard.submissions.lifecycle import FAILED, FINISHED, RUNNING
from leaderboard.submissions.offers import Offer
from leaderboard.submissions.store import LocalStore

WORK = """
import sys, threading, time
from pathlib import Path
from leaderboard.submissions.store import LocalStore
from leaderboard.submissions.measuring import measured
from leaderboard.submissions.worker import Worker

def measure(worker, submission, dataset, tell, cancelled):
    if submission.name.startswith("made_up"):
        return {"model": submission.row(dataset), "accuracy": 0.5}
    return measured(worker, submission, dataset, tell, cancelled)

root = Path(sys.argv[1])
one = Worker(LocalStore(root / "store"), root / "records", root / "cache", measure=measure, lease=20.0)
while True:
    taken = one.claim()
    if taken is None:
        time.sleep(0.1)
    else:
        one.see_through(taken, threading.Event())
"""
OPEN = Limits(open_each=10**6, daily_each=10**6, open_all=10**6, daily_all=10**6)
PATIENCE = 3600.0  # seconds


def network(seed: int, counts: bool) -> bytes:
    """Return an ONNX file of one dense layer on 8 x 8 pixels; with `counts` it adds each image's place in the batch."""
    rng = np.random.default_rng(seed)
    constants = {
        "weights": rng.normal(0, 0.1, (64, 10)).astype(np.float32), "flat": np.array([-1, 64]),
        "nought": np.zeros((64, 1), np.float32), "axis": np.int64(0), "step": rng.normal(0, 1, 10).astype(np.float32),
    }  # fmt: skip
    nodes = [
        helper.make_node("Cast", ["image"], ["pixels"], to=TensorProto.FLOAT),
        helper.make_node("Reshape", ["pixels", "flat"], ["rows"]),
        helper.make_node("MatMul", ["rows", "weights"], ["logits"]),
    ]
    if counts:
        nodes += [
            helper.make_node("MatMul", ["rows", "nought"], ["noughts"]),
            helper.make_node("Exp", ["noughts"], ["ones"]),
            helper.make_node("CumSum", ["ones", "axis"], ["place"]),
            helper.make_node("Mul", ["place", "step"], ["cheat"]),
            helper.make_node("Add", ["logits", "cheat"], ["sum"]),
        ]
    nodes.append(helper.make_node("Softmax", ["sum" if counts else "logits"], ["probabilities"]))
    used = {name for node in nodes for name in node.input}
    graph = helper.make_graph(
        nodes,
        "net",
        [helper.make_tensor_value_info("image", TensorProto.UINT8, ["n", 8, 8, 1])],
        [helper.make_tensor_value_info("probabilities", TensorProto.FLOAT, ["n", 10])],
        [numpy_helper.from_array(np.asarray(value), name) for name, value in constants.items() if name in used],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)
    return bytes(model.SerializeToString())


def main() -> int:
    """Send them, let them be worked off, and print how they ended."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--count", type=int, default=200, help="submissions (%(default)s)")
    parser.add_argument("--real", type=int, default=20, help="of them measured in the real sandbox (%(default)s)")
    parser.add_argument("--workers", type=int, default=2, help="at a time (%(default)s)")
    parser.add_argument("--kills", type=int, default=4, help="number of workers to kill (%(default)s)")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        return _run(Path(scratch), arguments)


def _run(root: Path, arguments: argparse.Namespace) -> int:
    store, rng = LocalStore(root / "store"), random.Random(0)
    every = max(arguments.count // max(arguments.real, 1), 1)
    for n in range(arguments.count):
        real = n % every == 0 and n // every < arguments.real
        counts = real and n // every % 5 == 0
        kind = "counts" if counts else "real" if real else "made_up"
        offer = Offer(f"{kind}{n}", ("optdigits",), "mit", "optdigits")
        intake.submit(store, f"user{n % 16}", offer, ("m.onnx", network(n, counts)), limits=OPEN)

    def start() -> subprocess.Popen:
        return subprocess.Popen([sys.executable, "-c", WORK, str(root)])

    started, kills = time.monotonic(), arguments.kills
    workers = [start() for _ in range(arguments.workers)]
    try:
        while any(s.open for s in store.all()):
            if time.monotonic() > started + PATIENCE:
                break
            if kills and rng.random() < 0.1:
                kills -= 1
                workers[0].kill()
                workers[0].wait()
                workers = [*workers[1:], start()]
            time.sleep(2.0)
    finally:
        for process in workers:
            process.kill()
            process.wait()
    return _told(store, time.monotonic() - started)


def _told(store: LocalStore, seconds: float) -> int:
    """Print how they ended; 1 if one did not end as it must."""
    wrong, times = 0, []
    ends = {"counts": FAILED, "real": FINISHED, "made_up": FINISHED}
    for s in store.all():
        kind = s.name.rstrip("0123456789")
        if s.status != ends[kind] or (kind == "counts" and "other images of the batch" not in s.reason):
            wrong += 1
            print(f"{s.name}: {s.status}. {s.reason}")
        elif kind == "real":
            claimed = [entry["at"] for entry in s.history if entry["status"] == RUNNING]
            times.append(s.history[-1]["at"] - claimed[-1])
    print(f"{len(store.all())} submissions in {seconds:.0f} s, {wrong} did not end as they must")
    if times:
        print(f"{len(times)} measured in the sandbox, {statistics.median(times):.1f} s after their claim in the median")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
