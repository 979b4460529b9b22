"""The Keras layers that a submission may use, and their costs, computed from the configuration alone.

This module does not import Keras: each layer is a table entry with its allowed settings and a function for its output
shape, parameters and multiply-adds. `tests/test_submissions_layers.py` compares every entry with Keras. Shapes exclude
the batch axis.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from zoo.strict import layer_costs
from zoo.strict.layer_costs import Cost
from zoo.strict.layer_settings import Misfit, Shape
from zoo.strict.problems import Refused
from zoo.types import Json


@dataclass(frozen=True)
class Layer:
    """One allowed layer."""

    settings: frozenset[str]  # keys of its configuration, except those that every layer has
    cost: Callable[[Json, list[Shape]], Cost]


def _names(text: str) -> frozenset[str]:
    return frozenset(text.split())


COMMON = frozenset({"name", "trainable", "dtype"})
ACTIVATIONS = _names(
    "linear relu relu6 sigmoid hard_sigmoid tanh hard_tanh softmax log_softmax softplus softsign elu selu gelu silu "
    "swish hard_silu hard_swish leaky_relu exponential mish celu tanh_shrink soft_shrink squareplus"
)
INITIALIZERS = _names(
    "Zeros Ones Constant RandomNormal RandomUniform TruncatedNormal VarianceScaling GlorotNormal GlorotUniform "
    "HeNormal HeUniform LecunNormal LecunUniform Orthogonal Identity"
)
REGULARIZERS = _names("L1 L2 L1L2 OrthogonalRegularizer")
CONSTRAINTS = _names("MaxNorm NonNeg UnitNorm MinMaxNorm")

LISTS = _names(  # settings that may be lists of whole numbers: axes and sides
    "axis attention_axes cropping dilation_rate dims kernel_size noise_shape output_padding output_shape padding "
    "pool_size shared_axes size strides target_shape"
)


def _weights(*kinds: str) -> str:
    """Return the settings that belong to weights of these kinds."""
    return " ".join(f"{kind}_{part}" for kind in kinds for part in ("initializer", "regularizer", "constraint"))


_CONV = (
    f"activation use_bias padding strides dilation_rate data_format kernel_size activity_regularizer {_weights('bias')}"
)
_GAMMA = f"axis epsilon center scale {_weights('beta', 'gamma')}"
_POOL = "pool_size padding strides data_format"
_RNN = (
    "return_sequences return_state go_backwards stateful unroll zero_output_for_mask units activation use_bias "
    f"{_weights('kernel', 'recurrent', 'bias')} activity_regularizer dropout recurrent_dropout seed"
)

LAYERS: Mapping[str, Layer] = {
    name: Layer(_names(settings), cost)
    for name, settings, cost in (
        ("Rescaling", "scale offset", layer_costs.same),
        ("Flatten", "data_format", layer_costs.flatten),
        ("Reshape", "target_shape", layer_costs.reshape),
        ("Permute", "dims", layer_costs.permute),
        ("RepeatVector", "n", layer_costs.repeat),
        ("Dense", f"units activation use_bias {_weights('kernel', 'bias')} activity_regularizer quantization_config",
         layer_costs.dense),
        ("Conv1D", f"filters groups {_weights('kernel')} {_CONV}", layer_costs.conv1d),
        ("Conv2D", f"filters groups {_weights('kernel')} {_CONV}", layer_costs.conv2d),
        ("Conv2DTranspose", f"filters output_padding {_weights('kernel')} {_CONV}", layer_costs.transposed),
        ("DepthwiseConv2D", f"depth_multiplier {_weights('depthwise')} {_CONV}", layer_costs.depthwise),
        ("SeparableConv2D", f"filters depth_multiplier {_weights('depthwise', 'pointwise')} {_CONV}",
         layer_costs.separable),
        ("MaxPooling2D", _POOL, layer_costs.pool),
        ("AveragePooling2D", _POOL, layer_costs.pool),
        ("GlobalAveragePooling2D", "data_format keepdims", layer_costs.global_pool(3)),
        ("GlobalMaxPooling2D", "data_format keepdims", layer_costs.global_pool(3)),
        ("GlobalAveragePooling1D", "data_format keepdims", layer_costs.global_pool(2)),
        ("GlobalMaxPooling1D", "data_format keepdims", layer_costs.global_pool(2)),
        ("BatchNormalization", f"momentum {_GAMMA} moving_mean_initializer moving_variance_initializer synchronized "
         "renorm renorm_clipping renorm_momentum", layer_costs.batch_norm),
        ("LayerNormalization", f"rms_scaling {_GAMMA}", layer_costs.layer_norm),
        ("GroupNormalization", f"groups {_GAMMA}", layer_costs.group_norm),
        ("UnitNormalization", "axis", layer_costs.same),
        ("Activation", "activation", layer_costs.same),
        ("ReLU", "max_value negative_slope threshold", layer_costs.same),
        ("LeakyReLU", "negative_slope", layer_costs.same),
        ("ELU", "alpha", layer_costs.same),
        ("PReLU", f"shared_axes {_weights('alpha')}", layer_costs.prelu),
        ("Softmax", "axis", layer_costs.softmax),
        ("Dropout", "rate seed noise_shape", layer_costs.same),
        ("SpatialDropout1D", "rate seed", layer_costs.same),
        ("SpatialDropout2D", "rate seed data_format", layer_costs.same),
        ("GaussianDropout", "rate seed", layer_costs.same),
        ("GaussianNoise", "stddev seed", layer_costs.same),
        ("AlphaDropout", "rate seed noise_shape", layer_costs.same),
        ("ActivityRegularization", "l1 l2", layer_costs.same),
        ("ZeroPadding2D", "padding data_format", layer_costs.pad),
        ("Cropping2D", "cropping data_format", layer_costs.crop),
        ("UpSampling2D", "size data_format interpolation", layer_costs.upsample),
        ("Add", "", layer_costs.merge),
        ("Subtract", "", layer_costs.subtract),
        ("Multiply", "", layer_costs.merge),
        ("Average", "", layer_costs.merge),
        ("Maximum", "", layer_costs.merge),
        ("Minimum", "", layer_costs.merge),
        ("Concatenate", "axis", layer_costs.concatenate),
        ("LSTM", f"{_RNN} recurrent_activation unit_forget_bias", layer_costs.recurrent(4)),
        ("GRU", f"{_RNN} recurrent_activation reset_after", layer_costs.recurrent(3)),
        ("SimpleRNN", _RNN, layer_costs.recurrent(1)),
        ("MultiHeadAttention", "num_heads key_dim value_dim dropout use_bias use_gate output_shape attention_axes "
         f"sliding_window {_weights('kernel', 'bias')} activity_regularizer seed", layer_costs.attention),
    )
}  # fmt: skip


def cost(name: str, config: Json, shapes: list[Shape], where: str) -> Cost:
    """Return the output shape and costs of a layer for inputs of these shapes; raise Refused if they do not fit."""
    try:
        return LAYERS[name].cost(config, shapes)
    except Misfit as error:
        raise Refused("shape", f"{where} cannot be built: {error}.", "Change it and send the model again.") from None
