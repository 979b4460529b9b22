"""Sending small networks to a store, and a worker that sees them through without measuring."""

import threading

from networks import onnx_file

from leaderboard.submissions import intake
from leaderboard.submissions.intake import Limits
from leaderboard.submissions.offers import Offer
from leaderboard.submissions.sandbox import Unfit
from leaderboard.submissions.worker import Worker
from zoo.hub import Backoff

TOKEN = "hf_NobodyMayEverReadThisToken"
MANY = Limits(open_each=1000, daily_each=1000, open_all=1000)
QUICK = Backoff(attempts=40, first=0.01, longest=0.1)


def send(place, user="bob", name="net", seed=0, datasets=("optdigits",), limits=MANY, address="", secret="", **said):
    offer = Offer(name, datasets, "mit", "optdigits, its training rows", claimed={"optdigits": 0.9}, **said)
    file = "m.onnx", onnx_file(seed=seed)
    return intake.submit(place, user, offer, file, limits=limits, address=address, secret=secret)


def quick(worker, submission, dataset, tell, cancelled):
    """Stand for a measurement where only what is around it is tested."""
    tell("measuring", 0.5)
    if submission.name.startswith("unfit"):
        raise Unfit("It cannot be measured.")
    return {
        "model": submission.row(dataset),
        "accuracy": 0.5,
        "parameters": 1,
        "revision": "0",
        "folder": "f",
        "date": "d",
    }


def finish_all(place, **settings) -> None:
    one = Worker(place, measure=quick, **settings)
    while taken := one.claim():
        one.see_through(taken, threading.Event())
