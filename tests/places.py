"""Where something is on a page."""

import time

PATIENCE = 10.0  # seconds


def place_of(locator):
    """Return the box of an element, {"x", "y", "width", "height"} in pixels.

    An answer is replaced by the next one now and then, and has no box in that moment.
    """
    locator.wait_for()
    deadline = time.monotonic() + PATIENCE
    while not (box := locator.bounding_box()):
        assert time.monotonic() < deadline
        time.sleep(0.02)
    return box
