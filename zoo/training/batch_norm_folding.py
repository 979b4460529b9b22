"""BatchNorm folded into the layer before it: the same function of an image, with fewer weights and operations.

At inference BatchNorm is a scale and a shift a channel (Ioffe and Szegedy, 2015), which a linear layer before it can do
as well (Jacob et al., 2018, "Quantization and training of neural networks", section 3.2). Every network is exported so,
trained here or sent, and its parameters are counted so. A BatchNorm that follows an activation stays: the file stores
a scale and a shift for each of its channels.
"""

from typing import Any

import numpy as np

from zoo.backend import keras


def folded(model: "keras.Model") -> "keras.Model":
    """Return a copy of a functional or sequential model without those BatchNorms that directly follow a linear layer.

    A convolution, depthwise convolution or dense layer counts as linear if it has no activation and nothing but the
    BatchNorm reads it. Every other layer and BatchNorm stays as it is. Models inside the model are folded too.
    """
    layers = keras.layers
    if isinstance(model, keras.Sequential):
        model = keras.Model(model.inputs, model.outputs, name=model.name)
    before = {}  # BatchNorm's name -> the linear layer that it follows
    for layer in model.layers:
        if isinstance(layer, layers.BatchNormalization) and len(layer._inbound_nodes) == 1:  # used once
            (node,) = layer._inbound_nodes
            (source,) = [tensor._keras_history.operation for tensor in node.input_tensors]
            linear = isinstance(source, layers.Conv2D | layers.DepthwiseConv2D | layers.Dense)
            if linear and source.activation is keras.activations.linear and len(source._outbound_nodes) == 1:
                before[layer.name] = source
    sources = {source.name for source in before.values()}

    def copied(layer: "keras.Layer") -> "keras.Layer":
        if isinstance(layer, keras.Model):
            return folded(layer)
        config = layer.get_config()
        return layer.__class__.from_config({**config, "use_bias": True} if layer.name in sources else config)

    def called(layer: "keras.Layer", *inputs: Any, **options: Any) -> Any:
        return inputs[0] if layer.name in before else layer(*inputs, **options)

    copy = keras.models.clone_model(model, clone_function=copied, call_function=called)
    for layer in copy.layers:
        if layer.weights and layer.name not in sources and not isinstance(layer, keras.Model):
            layer.set_weights(model.get_layer(layer.name).get_weights())
    for name, source in before.items():
        copy.get_layer(source.name).set_weights(_merged(source, model.get_layer(name)))
    return copy


def _merged(linear: "keras.Layer", norm: "keras.layers.BatchNormalization") -> list[np.ndarray]:
    """Return kernel and bias of a linear layer that does what it and the BatchNorm after it do."""
    kernel, *rest = linear.get_weights()
    values = norm.get_weights()[::-1]  # variance, mean, then shift and scale, where it has them
    variance, mean = values[:2]
    shift = values[2] if norm.center else np.zeros_like(mean)
    scale = (values[-1] if norm.scale else np.ones_like(mean)) / np.sqrt(variance + norm.epsilon)
    bias = rest[0] if rest else np.zeros_like(mean)
    # A depthwise kernel is (height, width, channels, multiplier), and its channels go out channel by channel.
    return [kernel * scale.reshape(kernel.shape[2:] if _depthwise(linear) else (-1,)), (bias - mean) * scale + shift]


def _depthwise(layer: "keras.Layer") -> bool:
    return isinstance(layer, keras.layers.DepthwiseConv2D)
