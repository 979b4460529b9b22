"""How much is uploaded by one request, and by one address within an hour."""

from zoo.errors import ZooError
from zoo.gate import limits
from zoo.gate.callers import Caller

MOST_REQUEST = 250_000_000  # bytes of one request: a folder of photos
MOST_FILES = 40  # of one request: as many photos as the Read tab takes


class Meter:
    """Counts the bytes of one upload as they arrive."""

    def __init__(self, caller: Caller):
        self._caller, self._size = caller, 0

    def count(self, size: int) -> None:
        """Count a part.

        Raises:
            ZooError: the request has more than `MOST_REQUEST`, or its address has sent too much within an hour.
        """
        self._size += size
        if self._size > MOST_REQUEST:
            raise ZooError(f"One upload has at most {MOST_REQUEST // 10**6} MB: send fewer files at a time.")
        limits.check_upload(self._caller, size)
