"""Trained networks as files: the published folder, and other formats for phones, browsers and servers."""

from zoo.export.publish import export, export_onnx

__all__ = ["export", "export_onnx"]
