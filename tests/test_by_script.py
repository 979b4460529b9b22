"""Which network reads which script, and one answer from several networks."""

import json
import shutil

import numpy as np
import pytest
from strokes import ARABIC_SEVEN, THREE

import zoo
from leaderboard import for_agents
from leaderboard.for_agents import resources
from leaderboard.tabs.board_frame import Live
from zoo import hub, ink
from zoo.rest import served
from zoo.serving import by_script
from zoo.settings import PRETRAINED
from zoo.tabs import choice
from zoo.tabs.agents import Agents


@pytest.mark.parametrize(
    ("labels", "script"),
    [
        ("0123456789", "digits"),
        ("ABCXYZ", "letters"),
        ("abz", "letters"),
        ("019AZ", "digits_and_letters"),
        ("٠١٩", "arabic_digits"),
        ("أبي", "arabic_letters"),
        ("٠أ", "other"),
        ("!?", "other"),
        ("αβγ", "other"),
        (("one", "two"), "other"),
    ],
)
def test_a_script_follows_from_the_labels(labels, script):
    assert by_script.script_of(labels) == script


def test_every_served_network_has_its_script_and_the_best_on_validation_goes_first():
    served = by_script.networks()
    assert sorted(one.model for of_it in served.values() for one in of_it) == sorted(zoo.list_models())
    for script in ("digits", "letters", "arabic_digits", "arabic_letters"):
        order = [(one.accepts is not None, one.accuracy) for one in served[script]]
        assert order == sorted(order, reverse=True)
        assert by_script.best(script) == (served[script][0].model,)
    assert by_script.scripts() == (*(script for script in served if script != "pages"), "anything")
    with pytest.raises(zoo.UnknownName, match="did you mean letters"):
        by_script.best("leters")


@pytest.fixture
def own(tmp_path, monkeypatch):
    """Return a function that adds a network of the visitor's own, with other labels on the weights of lenet5.mnist."""

    def add(name, labels):
        folder = shutil.copytree(PRETRAINED / "lenet5.mnist", tmp_path / name)
        path = folder / "preprocessor_config.json"
        path.write_text(json.dumps({**json.loads(path.read_text()), "labels": list(labels)}))
        (folder / "history.json").unlink()

    monkeypatch.setenv("ZOO_MODELS", str(tmp_path))
    return add


@pytest.mark.parametrize("name", ["~x.mnist", "~root.mnist", "x.mnist@main", ".hidden.mnist"])
def test_a_folder_whose_name_means_another_place_is_no_network(own, name):
    own(name, "0123456789")
    assert name not in zoo.list_models()
    assert by_script.networks()["digits"]


def test_an_own_network_goes_first_and_one_of_both_scripts_answers_for_both(own):
    own("lenet5.mine", "0123456789")
    assert by_script.best("digits") == ("lenet5.mine",)
    own("lenet5.alnum", "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ")
    assert by_script.best("digits_and_letters") == ("lenet5.alnum",)
    asked = by_script.best("anything")
    assert asked[0] == "lenet5.alnum"
    assert {name.rpartition(".")[2] for name in asked} == {"alnum", "ahdd", "ahcd"}


def test_answers_of_several_networks_compare_and_none_may_accept():
    asked = [zoo.load_predictor(name) for name in by_script.best("anything")]

    def answer(strokes):
        found = [one(ink.from_strokes(strokes, one.contract, 1.0)[None])[0] for one in asked]
        chosen = by_script.choose([float(by_script.certainty(*pair)) for pair in zip(asked, found, strict=True)])
        return None if chosen is None else asked[chosen].labels[found[chosen].argmax()]

    assert answer(THREE) == "3"
    assert answer(ARABIC_SEVEN) in ("٧", "V")  # the same strokes
    turns = np.arange(6) * 4 * np.pi / 5
    assert answer([np.stack([0.5 + np.sin(turns) / 2, 0.5 - np.cos(turns) / 2], axis=1).tolist()]) is None  # a star


@pytest.mark.parametrize(
    "asked",
    [
        lambda agents: agents._found("zoo://models/lenet5.mnist"),
        lambda agents: list(agents._resources()),
        lambda agents: served.models(),
        lambda agents: served.model("lenet5.mnist"),
        lambda agents: choice.known(),
        lambda agents: by_script.best("digits"),
    ],
    ids=["agent reads", "agent lists", "REST lists", "REST describes", "a link", "a script"],
)
def test_who_asks_for_one_network_again_does_not_have_all_folders_looked_at(asked, monkeypatch):
    """17 ms each time: four addresses that asked agents' resources held all threads."""
    looked = []
    resolve = hub.resolve
    monkeypatch.setattr(hub, "resolve", lambda name: looked.append(name) or resolve(name))
    monkeypatch.setattr(by_script, "LOOKED_AT", 1e9)
    agents = Agents({}, "test", resources(Live()))
    for _ in range(3):
        asked(agents)
    assert len(looked) <= len(hub.list_models()) + 3
    looked.clear()
    asked(agents)
    assert len(looked) <= 1


def test_a_text_for_agents_is_made_once(monkeypatch):
    made = []
    monkeypatch.setattr(for_agents, "card", lambda name, rows: made.append(name) or "a card")
    monkeypatch.setattr(for_agents, "_rows", lambda name, rows: made.append(name) or "rows")
    agents = Agents({}, "test", resources(Live()))
    for _ in range(3):
        said = [agents._found(f"zoo://{one}").content for one in ("models/lenet5.mnist", "leaderboard/mnist")]
        assert said == ["a card", "rows"]
    assert made == ["lenet5.mnist", "mnist"]


def test_what_no_picture_can_tell_apart_is_known():
    assert by_script.look_alikes("I", "ABIL") == ("L",)
    assert by_script.look_alikes("O", "0123") == ("0",)
    assert by_script.look_alikes("A", "ABC") == ()
