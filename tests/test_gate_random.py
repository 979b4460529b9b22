"""Whatever is sent to whatever is there, a caller gets an answer or a sentence; see `random_calls`."""

import os
from collections import Counter
from concurrent.futures import ThreadPoolExecutor

import pytest
from random_calls import calls
from space import serve

COUNT = int(os.environ.get("ZOO_RANDOM_CALLS", 200))
SEED = int(os.environ.get("ZOO_RANDOM_SEED", 1))


@pytest.mark.slow
def test_random_calls_bring_answers_or_sentences(tmp_path):
    import spaces_app

    made = list(calls(spaces_app.demo, SEED, COUNT))
    free = {"ZOO_CALLS_PER_MINUTE": "1000000", "ZOO_SENDS_PER_DAY": "1000000"}
    with serve(ZOO_SUBMISSIONS=str(tmp_path / "store"), **free) as space, ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda call: call.send(space.url), made))
    bad = [(call, answer) for call, answer in zip(made, answers, strict=True) if not _fine(answer)]
    kinds = Counter((call.route, answer.fine) for call, answer in zip(made, answers, strict=True))
    print(f"{len(made)} calls, seed {SEED}: {dict(kinds)}; {len(bad)} are neither an answer nor a sentence")
    assert not bad, "\n".join(f"{str(call)[:400]}\n  -> {answer.text[:300]}" for call, answer in bad[:10])
    assert all(kinds[route, fine] for route in ("call", "agent", "queue") for fine in (True, False))


def _fine(answer) -> bool:
    """Whether it is an answer, or one sentence that blames no mistake of ours."""
    said = answer.text.strip()
    return answer.fine or (
        len(said) > 12 and said[-1] in ".?!" and "incident" not in said and "Traceback" not in said and "\n" not in said
    )
