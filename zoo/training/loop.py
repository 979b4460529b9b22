"""The loop over the epochs of one training, and what of it is on disk between them."""

import contextlib
import json
import logging
import os
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict
from pathlib import Path

import numpy as np

from zoo import data, registry
from zoo.backend import batches, devices, keras
from zoo.errors import ZooError
from zoo.files import read_arrays, replacing
from zoo.recipes import Augmentation, Plateau, Recipe
from zoo.regular_files import open_regular
from zoo.training import backbones, objective, samples, transfer
from zoo.training.job import Job
from zoo.training.memory import Memory
from zoo.types import Json

log = logging.getLogger("zoo.training")  # one training, one name in its log

Teach = Callable[[np.ndarray, np.ndarray], np.ndarray]  # images of an epoch and their targets -> targets to learn
EVALUATION_PIXELS = 500 * 32 * 32  # of a batch: large enough to be fast, small enough for AlexNet in memory
STATISTICS_BATCH = 500  # images; fewer where they have more pixels than that, but never fewer than in training
LONGEST_AVERAGE = 0.2  # of all steps: a short training's average of the weights must not remember its beginning
LONGEST_WARMUP = 0.2  # of all steps: in a training of few epochs the rate has to come down again
STATISTICS_SAMPLES = 10_000  # training images that BatchNorm's statistics are re-estimated on, in the end
PASSING_STATISTICS_SAMPLES = 2_000  # after an epoch that is watched, not kept: 10,000 are all that a small set has


class Loop:
    """The training loop over one job; `run` returns the history that is stored."""

    CHECKPOINT = "checkpoint.npz"

    def __init__(
        self,
        job: Job,
        build: "Callable[[], keras.Model]",
        folder: Path,
        seen: "samples.Glyphs | samples.Pages",
        progress: Callable[[float], None],
        teach: Teach | None = None,
    ):
        self.job, self.folder, self.progress, self.teach = job, folder, progress, teach
        self.phases = job.recipe.phases()
        if job.recipe.batch_size % (job.recipe.devices or 1):
            raise ZooError(f"{job.recipe.devices} devices cannot share a batch of {job.recipe.batch_size} evenly.")
        self.samples, self.watched = seen, seen.watch()
        keras.utils.set_random_seed(job.seed)
        self.model = build()
        self.in_logits = objective.without_softmax(self.model)
        self.start = transfer.start(self.model, job.architecture, job.dataset, job.start) if job.start else None
        self.memory = Memory(fingerprint=seen.train.fingerprint)
        self.kept: list[np.ndarray] = []  # the weights of the best epoch, where the recipe keeps those
        self._start()

    def run(self) -> Json:
        """Train to the end, from the checkpoint if there is one, and save the kept weights."""
        if self.memory.epochs:
            log.info("%s seed %d goes on after epoch %d", self.job.model, self.job.seed, len(self.memory.epochs))
        while True:
            while not self.finished:
                self._epoch()
            if self.memory.phase + 1 == len(self.phases):
                break
            self._next_phase()
        return self.end()

    def end(self) -> Json:
        """Save the kept weights and return the history that is stored."""
        with self._kept_weights():
            validation = self._score(*self.samples.validation(self.job.dataset))
            self.model.optimizer = None  # what Keras would save with the weights, three times as much
            with replacing(self.folder / "model.weights.h5") as staged:
                self.model.save_weights(staged)
        epochs = self.memory.epochs
        return {
            "fingerprint": self.samples.train.fingerprint,
            **({"start": self.start} if self.start else {}),
            **({"backbone": self.memory.backbone} if self.memory.backbone else {}),
            "samples": {"train": self.samples.known, "validation": len(self.watched[0])},
            "kept_epoch": self.memory.best_epoch if self.recipe.keep == "best" else len(epochs),
            "validation": validation,
            "training_seconds": round(sum(epoch["seconds"] for epoch in epochs), 1),
            "epochs": epochs,
        }

    # Setting up

    @property
    def recipe(self) -> Recipe:
        """The phase that is at work."""
        return self.phases[self.memory.phase]

    def _start(self) -> None:
        """Set out from the checkpoint, else from pretrained or fresh weights."""
        path = self.folder / self.CHECKPOINT
        if path.exists():
            try:
                return self._restore(path)
            except (ZooError, KeyError, ValueError, TypeError, AttributeError, OSError) as error:
                what = error if isinstance(error, ZooError) else f"it is of another network ({type(error).__name__})."
                raise ZooError(f"{path} cannot be gone on from: {what} Remove it to begin again.") from error
        if (source := self.recipe.backbone_weights) and not self.start:
            self.memory.backbone = backbones.load(self.model, registry.get(self.job.architecture), source)
        self.optimizer = self._compile()

    def _next_phase(self) -> None:
        """Go on from the weights that the phase leaves."""
        with self._kept_weights():
            weights = self.model.get_weights()
        self.model.set_weights(weights)
        self.memory.phase += 1
        self.memory.phase_start = len(self.memory.epochs)
        self.memory.plateau_loss, self.memory.plateau_wait = float("inf"), 0
        self.memory.best_score = float("-inf")  # what Keras' callbacks do in a second call of fit
        self.optimizer = self._compile()
        self._checkpoint()

    @property
    def _steps(self) -> int:
        """Batches in an epoch, the last one included."""
        return -(-self._whole(self.samples.count) // self.recipe.batch_size)

    def _whole(self, count: int) -> int:
        """Return as many samples, at most `count`, as several devices share evenly."""
        return count - count % (self.recipe.devices or 1)

    @property
    def _total_epochs(self) -> int:
        """Epochs of all phases, at most."""
        return sum(phase.epochs for phase in self.phases)

    def _compile(self) -> "keras.optimizers.Optimizer":
        recipe = self.recipe
        if recipe.fine_tuning is not None:
            backbones.set_learning(self.model, recipe.fine_tuning.layers if self.memory.phase else 0)
        settings = {} if recipe.momentum is None else {"momentum": recipe.momentum}
        if recipe.weight_average is not None:
            span = LONGEST_AVERAGE * self._steps * recipe.epochs
            settings |= {"use_ema": True, "ema_momentum": min(recipe.weight_average, 1 - 1 / max(span, 1))}
        optimizer = keras.optimizers.get(
            {"class_name": recipe.optimizer, "config": {"learning_rate": self._schedule(), **settings}}
        )
        on_tensorflow = keras.backend.backend() == "tensorflow"
        on_cpu = "CPU" in devices()[0].upper()
        self.model.compile(
            optimizer,
            loss=objective.loss(recipe, self.in_logits),
            metrics=[objective.accuracy()],
            # XLA on a CPU is up to 16 times slower for convolutions. Several steps a call save TensorFlow its
            # per-call overhead, a tenth of the time of LeNet-5; with several devices its graph does not bear that.
            jit_compile=False if on_tensorflow and on_cpu else "auto",
            steps_per_execution=16 if on_tensorflow and self.recipe.devices in (None, 1) else 1,
        )
        optimizer.build(self.model.trainable_variables)
        return optimizer

    def _schedule(self) -> "float | keras.optimizers.schedules.LearningRateSchedule":
        if not self.recipe.cosine:
            return self.recipe.learning_rate
        warmup = round(min(self.recipe.warmup, LONGEST_WARMUP * self.recipe.epochs) * self._steps)
        return keras.optimizers.schedules.CosineDecay(
            initial_learning_rate=0.0 if warmup else self.recipe.learning_rate,
            decay_steps=max(1, self._steps * self.recipe.epochs - warmup),
            warmup_target=self.recipe.learning_rate if warmup else None,
            warmup_steps=warmup,
        )

    # One epoch

    def _epoch(self) -> None:
        started, rate = time.perf_counter(), self.rate
        with self._raw_weights():
            logs = self.model.fit(
                **batches(*self.draw(), self.recipe.batch_size),
                shuffle=False,
                verbose=0,
                callbacks=[self._progress_callback(len(self.memory.epochs))],
            ).history
        self.conclude(logs["loss"][0], logs["accuracy"][0], rate, started)

    @property
    def rate(self) -> float:
        """The learning rate of the next step."""
        return float(keras.ops.convert_to_numpy(self.optimizer.learning_rate))

    @property
    def _augmentation(self) -> Augmentation | None:
        """Of the epoch that is next, or that is at work."""
        return self.augmentation_at(len(self.memory.epochs))

    def augmentation_at(self, epoch: int) -> Augmentation | None:
        """Return how the samples of an epoch, 0 the first of the whole training, are augmented; None: not at all."""
        return self.recipe.augmentation_at(epoch - self.memory.phase_start)

    def rng(self, epoch: int) -> np.random.Generator:
        """Return what draws the samples of an epoch: the same however often the run was stopped before it."""
        return np.random.default_rng([self.job.seed, epoch])

    def draw(self) -> tuple[np.ndarray, np.ndarray]:
        """Return the images and targets of the next epoch."""
        images, targets = self.samples.epoch(self.rng(len(self.memory.epochs)), self._augmentation)
        if self.teach is not None:
            targets = self.teach(images, targets)
        whole = self._whole(len(images))
        return images[:whole], targets[:whole]

    def conclude(self, loss: float, accuracy: float, rate: float, started: float) -> None:
        """Score and remember an epoch that the weights have been through, and write what the next one starts from.

        Args:
            loss: mean over the epoch's samples.
            accuracy: likewise.
            rate: the learning rate that it began with.
            started: when it began, as `time.perf_counter` says.
        """
        recipe, memory = self.recipe, self.memory
        number = len(memory.epochs)
        with self._averaged_weights(PASSING_STATISTICS_SAMPLES if recipe.keep == "last" else STATISTICS_SAMPLES):
            validation = self._score(*self.watched)
            score = validation["accuracy"] if recipe.watch == "accuracy" else -validation["loss"]
            better = score > memory.best_score
            if better and recipe.keep == "best":
                self.kept = self.model.get_weights()
        memory.epochs.append(
            {
                "loss": loss,
                "accuracy": accuracy,
                "validation_loss": validation["loss"],
                "validation_accuracy": validation["accuracy"],
                "learning_rate": rate,
                "seconds": round(time.perf_counter() - started, 2),
            }
        )
        if better:
            memory.best_score, memory.best_epoch = score, number + 1
        if recipe.plateau is not None:
            self._lower_rate_on_plateau(recipe.plateau, validation["loss"])
        log.info(
            "%s seed %d epoch %d/%d: loss %.4f, accuracy %.4f, validation loss %.4f, validation accuracy %.4f, %.1f s",
            self.job.model, self.job.seed, number + 1, self._total_epochs,
            *list(memory.epochs[-1].values())[:4], memory.epochs[-1]["seconds"],
        )  # fmt: skip
        self._checkpoint()

    @property
    def finished(self) -> bool:
        """Whether the phase at work has come to its end."""
        patience = self.recipe.early_stopping
        impatient = patience is not None and self.memory.waited >= patience
        return impatient or len(self.memory.epochs) - self.memory.phase_start >= self.recipe.epochs

    def _lower_rate_on_plateau(self, plateau: Plateau, loss: float) -> None:
        memory = self.memory
        memory.plateau_wait += 1
        if loss < memory.plateau_loss - plateau.least_gain:
            memory.plateau_loss, memory.plateau_wait = loss, 0
        elif memory.plateau_wait >= plateau.patience:
            self.optimizer.learning_rate = max(self.rate * plateau.factor, plateau.floor)
            memory.plateau_wait = 0

    def _score(self, images: np.ndarray, labels: np.ndarray) -> dict[str, float]:
        devices, whole = self.recipe.devices or 1, self._whole(len(labels))
        classes = len(data.get(self.job.dataset).labels)
        size = max(1, EVALUATION_PIXELS // images[0].size // devices) * devices
        parts = [(images[:whole], labels[:whole])] if whole else []
        if whole < len(labels):  # what is left is read once by every device: means stay what they are
            parts.append((np.repeat(images[whole:], devices, axis=0), np.repeat(labels[whole:], devices, axis=0)))
        scores = [
            self.model.evaluate(**batches(part, samples.one_hot(of_part, classes), size), verbose=0, return_dict=True)
            for part, of_part in parts
        ]
        shares = [whole / len(labels), 1 - whole / len(labels)] if len(parts) > 1 else [1.0]
        return {
            name: sum(share * score[name] for share, score in zip(shares, scores, strict=True))
            for name in ("loss", "accuracy")
        }

    def _progress_callback(self, number: int) -> "keras.callbacks.Callback":
        def tell(batch: int, logs: Json) -> None:
            self.progress((number + (batch + 1) / self._steps) / self._total_epochs)

        return keras.callbacks.LambdaCallback(on_train_batch_end=tell)

    # Weights that are averaged or kept

    @contextlib.contextmanager
    def _raw_weights(self) -> Iterator[None]:
        """Let the steps go on from their own weights: `fit`, here an epoch, would end by putting the average there."""
        self.optimizer.finalize_variable_values = lambda variables: None
        try:
            yield
        finally:
            del self.optimizer.finalize_variable_values

    @contextlib.contextmanager
    def _averaged_weights(self, samples: int = STATISTICS_SAMPLES) -> Iterator[None]:
        """Put the moving average in place of the weights, where the recipe keeps one."""
        if self.recipe.weight_average is None:
            yield
            return
        raw = self.model.get_weights()
        self.optimizer.finalize_variable_values(self.model.trainable_variables)
        # As copies: JAX would share the average's buffers with the weights and free both when it evaluates.
        self.model.set_weights([np.array(weight) for weight in self.model.get_weights()])
        self._reestimate_statistics(samples)
        yield
        self.model.set_weights(raw)

    @contextlib.contextmanager
    def _kept_weights(self) -> Iterator[None]:
        if self.recipe.keep == "best":
            self.model.set_weights(self.kept)
            yield
        else:
            with self._averaged_weights():
                yield

    def _reestimate_statistics(self, samples: int) -> None:
        """Set BatchNorm's statistics to those of the weights that are in place now.

        The running ones belong to the raw weights: under averaged weights they cost tens of points in mid-training.
        Inputs are as in training, so that augmentation and dropout are seen as they were.
        """
        layers = [x for x in self.model._flatten_layers() if isinstance(x, keras.layers.BatchNormalization)]
        layers = [layer for layer in layers if layer.trainable]  # a frozen one keeps those it was pretrained with
        if not layers:
            return
        rng = np.random.default_rng([self.job.seed, len(self.memory.epochs), 1])
        images, _ = self.samples.epoch(rng, self._augmentation, samples)
        momenta = [layer.momentum for layer in layers]
        states = [keras.ops.convert_to_numpy(v) for v in self._random_states()]
        size = max(self.recipe.batch_size, min(STATISTICS_BATCH, EVALUATION_PIXELS // images[0].size))
        for n, start in enumerate(range(0, len(images), size)):
            for layer in layers:
                layer.momentum = n / (n + 1)  # the plain mean over the batches so far
            self.model(images[start : start + size], training=True)
        for layer, momentum in zip(layers, momenta, strict=True):
            layer.momentum = momentum
        for variable, state in zip(self._random_states(), states, strict=True):
            variable.assign(state)

    def _random_states(self) -> "list[keras.Variable]":
        weights = {id(v) for v in self.model.weights}
        return [v for v in self.model.variables if id(v) not in weights]

    # What is on disk between epochs

    def _variables(self) -> "list[keras.Variable]":
        """Everything that the next epoch starts from: weights, dropout's random state, optimizer."""
        return [*self.model.weights, *self._random_states(), *self.optimizer.variables]

    def _checkpoint(self) -> None:
        arrays = {f"variable-{i}": keras.ops.convert_to_numpy(v) for i, v in enumerate(self._variables())}
        arrays |= {f"kept-{i}": array for i, array in enumerate(self.kept)}
        with replacing(self.folder / self.CHECKPOINT) as staged:
            np.savez(staged, memory=json.dumps(asdict(self.memory)), **arrays)

    def _restore(self, path: Path) -> None:
        with os.fdopen(open_regular(path), "rb") as file:
            saved = read_arrays(file, most=path.stat().st_size)  # nothing is packed in it, see `_checkpoint`
        self.memory = Memory.restored(saved["memory"].item(), self.phases)
        if self.memory.fingerprint not in (None, self.samples.train.fingerprint):
            raise ZooError(f"{self.folder} was begun on other data: move it away or choose another --runs.")
        self.memory.fingerprint = self.samples.train.fingerprint
        self.optimizer = self._compile()
        for i, variable in enumerate(self._variables()):
            variable.assign(saved[f"variable-{i}"])
        self.kept = [saved[f"kept-{i}"] for i in range(sum(name.startswith("kept-") for name in saved))]
        begun = len(self.memory.epochs) > self.memory.phase_start
        whole = [array.shape for array in self.kept] == [array.shape for array in self.model.get_weights()]
        if self.recipe.keep == "best" and begun and not (whole and self.memory.best_epoch):
            raise ZooError("it lacks the weights of its best epoch.")
