"""Digits as a hand draws them: strokes of (x, y) points on a pad of side 1."""

THREE = [
    [(0.34, 0.27), (0.45, 0.20), (0.58, 0.22), (0.64, 0.32), (0.58, 0.43), (0.47, 0.47), (0.60, 0.51), (0.67, 0.62),
     (0.62, 0.75), (0.48, 0.80), (0.35, 0.73)],
]  # fmt: skip
SEVEN = [[(0.32, 0.24), (0.50, 0.23), (0.68, 0.22), (0.60, 0.40), (0.53, 0.58), (0.46, 0.80)]]
FOUR = [
    [(0.42, 0.20), (0.37, 0.36), (0.33, 0.52), (0.50, 0.53), (0.68, 0.52)],
    [(0.60, 0.26), (0.59, 0.52), (0.58, 0.82)],
]
ARABIC_SEVEN = [[(0.30, 0.22), (0.40, 0.50), (0.50, 0.78), (0.60, 0.50), (0.70, 0.22)]]
DOT = [[(0.5, 0.5)]]


def sketch(strokes: list, size: float = 1000) -> dict:
    """Return strokes as the pad sends them."""
    return {"strokes": [[[x * size, y * size] for x, y in stroke] for stroke in strokes], "size": size}
