"""One file per paper. Functions with `@register` are the zoo's architectures; the registry finds them.

Each is a pure function from `input_shape` and `num_classes` to a `keras.Model` that takes raw uint8 images: scaling
is a layer of the graph, so training, ONNX and the sketch pad cannot disagree. Layers are Keras' own, so that any
Keras loads the published folder.
"""
