"""Loaded networks, shared by every thread that answers: the least recently used ones are dropped."""

import threading
from collections import OrderedDict
from collections.abc import Callable

import zoo
from zoo import hub
from zoo.errors import UnknownName
from zoo.published import PublishedFolder
from zoo.serving.predictor import Predictor

MOST_BYTES = 40_000_000  # of the files of loaded networks; in memory a network takes about three times its file
MOST = 100  # networks: somebody's takes about 10 MB more, for a process of its own


class ModelCache:
    """Predictors by the names of served networks; thread-safe.

    Args:
        most_bytes: of the files of the networks that are kept; the last one that was asked for always is.
        load: opens one by its name; `zoo.load_predictor` without it.
        most: networks that are kept.
    """

    def __init__(self, most_bytes: int = MOST_BYTES, load: Callable[[str], Predictor] | None = None, most: int = MOST):
        self.on_load: Callable[[str], None] = lambda name: None  # is told what was loaded
        self._most_bytes, self._load, self._most = most_bytes, load or zoo.load_predictor, most
        self._kept: OrderedDict[str, tuple[Predictor, int]] = OrderedDict()
        self._lock, self._loading = threading.Lock(), threading.Lock()

    def __call__(self, name: str) -> Predictor:
        """Return a network's predictor.

        Raises:
            UnknownName: it is not served; `zoo.load_predictor` would also open folders and ask the Hub.
        """
        found = self._known(name)
        if found is not None:
            return found
        with self._loading:  # one at a time: two threads never load the same one
            found = self._known(name)
            if found is not None:
                return found
            if name not in zoo.list_models():
                raise UnknownName("network", name[:60], zoo.list_models())
            size = PublishedFolder(hub.resolve(name)).onnx.stat().st_size
            found = self._load(name)
            with self._lock:
                self._kept[name] = found, size
                while len(self._kept) > 1 and (len(self._kept) > self._most or self._bytes() > self._most_bytes):
                    self._kept.popitem(last=False)
            self.on_load(name)
            return found

    def _known(self, name: str) -> Predictor | None:
        with self._lock:
            if name not in self._kept:
                return None
            self._kept.move_to_end(name)
            return self._kept[name][0]

    def _bytes(self) -> int:
        return sum(size for _, size in self._kept.values())

    @property
    def loaded(self) -> tuple[str, ...]:
        """The networks that are loaded, the most recently used last."""
        with self._lock:
            return tuple(self._kept)


MODELS = ModelCache()  # of this process: the page, its endpoints and the API share it
