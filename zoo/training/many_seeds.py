"""Train many seeds of one network in one program: JAX vectorizes the training step over the seeds (`jax.vmap`).

A small network leaves most of a GPU idle; thirty of them side by side do not. Every seed draws the samples that it
would draw by itself, and goes through the same steps: its run is an ordinary one, and its checkpoint another's.
"""

import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from zoo import registry
from zoo.backend import keras, over_seeds
from zoo.errors import ZooError
from zoo.files import write_json
from zoo.trainers import Stepwise
from zoo.training import samples
from zoo.training.job import Job, Run, build, read_run
from zoo.training.loop import Loop
from zoo.training.run import conclude


def train(jobs: Sequence[Job], runs: Path, progress: Callable[[float], None] = lambda share: None) -> list[Run]:
    """Train jobs that differ in nothing but their seeds, or go on where they were stopped; finished ones are only read.

    Args:
        jobs: what to train.
        runs: the folder of all runs.
        progress: called with the share of the epochs that is done, after every epoch.

    Returns:
        The runs, in the order of the jobs.

    Raises:
        ZooError: another backend than JAX, jobs that differ, or a recipe whose seeds do not keep in step.
        DataError: the dataset is missing or broken.
    """
    check(jobs)
    waiting = [job for job in jobs if read_run(job, runs) is None]
    loops = [_loop(job, runs) for job in waiting]
    program = _program(loops[0]) if loops else None
    while program is not None:
        least = min(len(loop.memory.epochs) for loop in loops)
        behind = [loop for loop in loops if len(loop.memory.epochs) == least]  # those that were stopped earliest
        if behind[0].finished:
            break
        _epoch(behind, program)
        progress((least + 1) / behind[0].recipe.epochs)
    for job, loop in zip(waiting, loops, strict=True):
        conclude(job, runs, loop.end())
    return [Run.read(job.folder(runs)) for job in jobs]


def check(jobs: Sequence[Job]) -> None:
    """Raise ZooError where jobs cannot be trained side by side, before anything is computed."""
    if keras.backend.backend() != "jax":
        raise ZooError(f"Seeds side by side need KERAS_BACKEND=jax, not {keras.backend.backend()}.")
    first = jobs[0]
    if any((j.architecture, j.dataset, j.recipe) != (first.architecture, first.dataset, first.recipe) for j in jobs):
        raise ZooError("Side by side are the seeds of one network, one dataset and one recipe: give them one pair.")
    recipe, architecture = first.recipe, registry.get(first.architecture)
    if not isinstance(architecture.trainer, Stepwise):
        raise ZooError(f"{first.architecture} is not trained by steps, so its seeds have nothing to do side by side.")
    if (
        recipe.plateau
        or recipe.early_stopping
        or recipe.fine_tuning
        or (recipe.devices or 1) > 1
        or recipe.distillation
    ):
        raise ZooError(
            f"The recipe {recipe.name} of {first.architecture} lets every seed go its own way (plateau, early "
            "stopping, fine-tuning, devices or a teacher): train its seeds one after the other."
        )


def _loop(job: Job, runs: Path) -> Loop:
    folder = job.folder(runs)
    loop = Loop(job, lambda: build(job), folder, samples.of(job.dataset, job.recipe), progress=lambda share: None)
    write_json(folder / "config.json", job.to_dict())
    return loop


def _epoch(loops: list[Loop], program: Callable[..., Any]) -> None:
    """Take every loop through one epoch."""
    started, rates = time.perf_counter(), [loop.rate for loop in loops]
    drawn = [loop.draw() for loop in loops]
    images, targets = (np.stack(part) for part in zip(*drawn, strict=True))
    size = loops[0].recipe.batch_size
    whole = images.shape[1] - images.shape[1] % size
    state = [np.stack(values) for values in zip(*(_values(loop) for loop in loops), strict=True)]
    totals = np.zeros((3, len(loops)))
    for part in (slice(0, whole), slice(whole, None)):  # the last batch is smaller: a program of its own
        count = images[:, part].shape[1]
        if count:
            batch = min(size, count)
            shape = len(loops), count // batch, batch
            xs = images[:, part].reshape(*shape, *images.shape[2:])
            state, sums = program(state, xs, targets[:, part].reshape(*shape, -1))
            totals += np.asarray(sums)
    loss, accuracy = totals[0] / images.shape[1], totals[1] / totals[2]
    for number, loop in enumerate(loops):
        for variable, value in zip(_variables(loop), state, strict=True):
            variable.assign(value[number])
        loop.conclude(float(loss[number]), float(accuracy[number]), rates[number], started)


def _variables(loop: Loop) -> "list[keras.Variable]":
    """Everything that a step changes, in the order that the program takes it."""
    model = loop.model
    return [*model.trainable_variables, *model.non_trainable_variables, *loop.optimizer.variables]


def _values(loop: Loop) -> list[np.ndarray]:
    return [keras.ops.convert_to_numpy(variable) for variable in _variables(loop)]


def _program(loop: Loop) -> Callable[..., Any]:
    """Return the program over (state, images, targets), all with a leading axis of seeds; `loop` stands for them all.

    It goes through the batches, (seeds, batches, samples, ...), and returns the state and the sums (3, seeds) of loss,
    right answers and samples of a class over all samples.
    """
    model, optimizer = loop.model, loop.optimizer
    loss_of = keras.losses.CategoricalCrossentropy(label_smoothing=loop.recipe.label_smoothing)
    learned, kept = len(model.trainable_variables), len(model.non_trainable_variables)

    def objective(weights: Any, others: Any, images: Any, targets: Any) -> tuple[Any, Any]:
        answers, others, penalties = model.stateless_call(weights, others, images, training=True, return_losses=True)
        known = targets.max(axis=-1) > 1.001 / targets.shape[-1]  # outliers have no right answer
        right = ((answers.argmax(axis=-1) == targets.argmax(axis=-1)) & known).sum()
        return loss_of(targets, answers) + sum(penalties), (others, right, known.sum())

    def step(state: list[Any], batch: Any, with_slopes: Callable[..., Any]) -> tuple[list[Any], Any]:
        weights, others, rest = state[:learned], state[learned : learned + kept], state[learned + kept :]
        (loss, (others, right, known)), slopes = with_slopes(objective)(weights, others, *batch)
        weights, rest = optimizer.stateless_apply(rest, slopes, weights)
        return [*weights, *others, *rest], keras.ops.stack([loss * len(batch[0]), right, known])

    return over_seeds(step)
