"""Trained networks as files: the published folder, and other formats for phones, browsers and servers."""

from zoo.export.publish import METADATA, ONNX, PREPROCESSOR, WEIGHTS, export, export_onnx

__all__ = ["METADATA", "ONNX", "PREPROCESSOR", "WEIGHTS", "export", "export_onnx"]
