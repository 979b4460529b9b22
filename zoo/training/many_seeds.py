"""Train many seeds of one network in one program: JAX vectorizes the training step over the seeds (`jax.vmap`).

A small network leaves most of a GPU idle; thirty of them side by side do not. Every seed draws the samples that it
would draw by itself, and goes through the same steps: its run is an ordinary one, and its checkpoint another's. All
steps of an epoch are one call, and images are augmented in it, which is faster on a GPU for a single seed too.
"""

import os
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np

from zoo import registry
from zoo.backend import keras, on_device, over_seeds
from zoo.errors import ZooError
from zoo.files import write_json
from zoo.recipes import Augmentation
from zoo.trainers import Stepwise
from zoo.training import device_augmentation, objective, samples
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
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        fused = Fused(loops, pool) if loops else None
        while fused is not None:
            least = min(len(loop.memory.epochs) for loop in loops)
            behind = [loop for loop in loops if len(loop.memory.epochs) == least]  # those that were stopped earliest
            if behind[0].finished:
                break
            fused.epoch(behind)
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
    if recipe.fine_tuning or (recipe.devices or 1) > 1 or recipe.distillation:
        raise ZooError(
            f"The recipe {recipe.name} of {first.architecture} has two phases, several devices or a teacher, which one "
            "program for all steps has not: train it without --side-by-side."
        )
    if len(jobs) > 1 and (recipe.plateau or recipe.early_stopping):
        raise ZooError(
            f"The recipe {recipe.name} of {first.architecture} lets every seed go its own way (plateau or early "
            "stopping): train its seeds one after the other."
        )


def _loop(job: Job, runs: Path) -> Loop:
    folder = job.folder(runs)
    loop = Loop(job, lambda: build(job), folder, samples.of(job.dataset, job.recipe), progress=lambda share: None)
    write_json(folder / "config.json", job.to_dict())
    return loop


Arrays = dict[str, np.ndarray]


class Fused:
    """The program of some loops, and what it works on: the training images stay on the device.

    Of an epoch only what was drawn is sent there: which image, moved how, damaged how. Meanwhile threads of the
    processor draw the next one.
    """

    def __init__(self, loops: list[Loop], pool: ThreadPoolExecutor):
        self.pool, self.size = pool, loops[0].recipe.batch_size
        self.program = _program(loops[0])
        seen = loops[0].samples
        self.shared = on_device({"images": seen.train.images} if isinstance(seen, samples.Glyphs) else {})
        self.ahead: dict[tuple[int, int], Future[tuple[Arrays, Arrays]]] = {}

    def epoch(self, loops: list[Loop]) -> None:
        """Take every loop through one epoch."""
        started, rates = time.perf_counter(), [loop.rate for loop in loops]
        drawn = [self._drawn(loop) for loop in loops]
        own, batches = (
            {name: np.stack([of_loop[name] for of_loop in part]) for name in part[0]}
            for part in zip(*drawn, strict=True)
        )
        count = batches["targets"].shape[1]
        whole = count - count % self.size
        state = [keras.ops.stack(values) for values in zip(*(_variables(loop) for loop in loops), strict=True)]
        totals, own = np.zeros((3, len(loops))), on_device(own)
        for rows in (slice(0, whole), slice(whole, None)):  # the last batch is smaller: a program of its own
            found = {name: values[:, rows] for name, values in batches.items()}
            if some := found["targets"].shape[1]:
                size = min(self.size, some)
                steps = {n: v.reshape(len(loops), some // size, size, *v.shape[2:]) for n, v in found.items()}
                state, sums = self.program(state, self.shared, own, steps)
                totals += np.asarray(sums)
        loss, accuracy = totals[0] / count, totals[1] / totals[2]
        for number, loop in enumerate(loops):
            for variable, value in zip(_variables(loop), state, strict=True):
                variable.assign(value[number])
            loop.conclude(float(loss[number]), float(accuracy[number]), rates[number], started)

    def _drawn(self, loop: Loop) -> tuple[Arrays, Arrays]:
        """Return what was drawn for the loop's next epoch, and begin to draw the one after it."""
        number = len(loop.memory.epochs)
        found = self.ahead.pop((loop.job.seed, number), None) or self.pool.submit(_draw, loop, number)
        if number + 1 < loop.recipe.epochs:
            self.ahead[loop.job.seed, number + 1] = self.pool.submit(_draw, loop, number + 1)
        return found.result()


def _draw(loop: Loop, epoch: int) -> tuple[Arrays, Arrays]:
    """Return what an epoch of one seed takes: the images of its own, and arrays of which each batch is a slice."""
    rng, augmentation, seen = loop.rng(epoch), loop.augmentation_at(epoch), loop.samples
    if not isinstance(seen, samples.Glyphs):
        images, targets = seen.epoch(rng, augmentation)
        return {}, {"images": images, "targets": targets}
    drawn = seen.draw(rng, augmentation)
    moved = {} if drawn.draws is None else device_augmentation.prepared(drawn.draws, rng)
    return {"outliers": drawn.outliers}, {"rows": drawn.rows, "targets": drawn.targets, **moved}


def _images(shared: Any, own: Any, batch: Any, bounds: Augmentation | None) -> Any:
    """Return the images of a batch, uint8 (N, H, W, C), augmented as drawn."""
    if "images" in batch:
        return batch["images"]
    ops, known, rows = keras.ops, len(shared["images"]), batch["rows"]
    images = ops.take(shared["images"], ops.minimum(rows, known - 1), axis=0)
    if len(own["outliers"]):
        others = ops.take(own["outliers"], ops.maximum(rows - known, 0), axis=0)
        images = ops.where((rows < known)[:, None, None, None], images, others)
    return images if "sources" not in batch else device_augmentation.augmented(images, batch, bounds or Augmentation())


def _variables(loop: Loop) -> "list[keras.Variable]":
    """Everything that a step changes, in the order that the program takes it."""
    model = loop.model
    return [*model.trainable_variables, *model.non_trainable_variables, *loop.optimizer.variables]


def _program(loop: Loop) -> Callable[..., Any]:
    """Return the program over (state, shared, own, batches), see `over_seeds`; `loop` stands for all seeds.

    It returns the state and the sums (3, seeds) of loss, right answers and samples of a class over all samples.
    """
    bounds = loop.recipe.augmentation
    model, optimizer = loop.model, loop.optimizer
    loss_of = objective.loss(loop.recipe, loop.in_logits)
    learned, kept = len(model.trainable_variables), len(model.non_trainable_variables)

    def cost(weights: Any, others: Any, images: Any, targets: Any) -> tuple[Any, Any]:
        answers, others, penalties = model.stateless_call(weights, others, images, training=True, return_losses=True)
        known = targets.max(axis=-1) > 1.001 / targets.shape[-1]  # outliers have no right answer
        right = ((answers.argmax(axis=-1) == targets.argmax(axis=-1)) & known).sum()
        return loss_of(targets, answers) + sum(penalties), (others, right, known.sum())

    def step(
        state: list[Any], shared: Any, own: Any, batch: Any, with_slopes: Callable[..., Any]
    ) -> tuple[list[Any], Any]:
        images, targets = _images(shared, own, batch, bounds), batch["targets"]
        weights, others, rest = state[:learned], state[learned : learned + kept], state[learned + kept :]
        (loss, (others, right, known)), slopes = with_slopes(cost)(weights, others, images, targets)
        weights, rest = optimizer.stateless_apply(rest, slopes, weights)
        return [*weights, *others, *rest], keras.ops.stack([loss * len(targets), right, known])

    return over_seeds(step)
