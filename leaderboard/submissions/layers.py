"""The Keras layers that a submission may use, and what each costs, worked out from its configuration alone.

Nothing of Keras is imported: a layer is its table entry, which says which settings it may have and gives its output
shape, parameters and multiply-adds. `tests/test_submissions_layers.py` holds every entry against Keras itself.
Shapes are without the batch.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from leaderboard.submissions import costs
from leaderboard.submissions.costs import Cost
from leaderboard.submissions.problems import Refused
from leaderboard.submissions.settings import Misfit, Shape


@dataclass(frozen=True)
class Layer:
    """One allowed layer."""

    settings: frozenset[str]  # keys of its configuration, beside those that every layer has
    cost: Callable[[dict, list[Shape]], Cost]


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
        ("Rescaling", "scale offset", costs.same),
        ("Flatten", "data_format", costs.flatten),
        ("Reshape", "target_shape", costs.reshape),
        ("Permute", "dims", costs.permute),
        ("RepeatVector", "n", costs.repeat),
        ("Dense", f"units activation use_bias {_weights('kernel', 'bias')} activity_regularizer quantization_config",
         costs.dense),
        ("Conv1D", f"filters groups {_weights('kernel')} {_CONV}", costs.conv1d),
        ("Conv2D", f"filters groups {_weights('kernel')} {_CONV}", costs.conv2d),
        ("Conv2DTranspose", f"filters output_padding {_weights('kernel')} {_CONV}", costs.transposed),
        ("DepthwiseConv2D", f"depth_multiplier {_weights('depthwise')} {_CONV}", costs.depthwise),
        ("SeparableConv2D", f"filters depth_multiplier {_weights('depthwise', 'pointwise')} {_CONV}", costs.separable),
        ("MaxPooling2D", _POOL, costs.pool),
        ("AveragePooling2D", _POOL, costs.pool),
        ("GlobalAveragePooling2D", "data_format keepdims", costs.global_pool(3)),
        ("GlobalMaxPooling2D", "data_format keepdims", costs.global_pool(3)),
        ("GlobalAveragePooling1D", "data_format keepdims", costs.global_pool(2)),
        ("GlobalMaxPooling1D", "data_format keepdims", costs.global_pool(2)),
        ("BatchNormalization", f"momentum {_GAMMA} moving_mean_initializer moving_variance_initializer synchronized "
         "renorm renorm_clipping renorm_momentum", costs.batch_norm),
        ("LayerNormalization", f"rms_scaling {_GAMMA}", costs.layer_norm),
        ("GroupNormalization", f"groups {_GAMMA}", costs.group_norm),
        ("UnitNormalization", "axis", costs.same),
        ("Activation", "activation", costs.same),
        ("ReLU", "max_value negative_slope threshold", costs.same),
        ("LeakyReLU", "negative_slope", costs.same),
        ("ELU", "alpha", costs.same),
        ("PReLU", f"shared_axes {_weights('alpha')}", costs.prelu),
        ("Softmax", "axis", costs.same),
        ("Dropout", "rate seed noise_shape", costs.same),
        ("SpatialDropout1D", "rate seed", costs.same),
        ("SpatialDropout2D", "rate seed data_format", costs.same),
        ("GaussianDropout", "rate seed", costs.same),
        ("GaussianNoise", "stddev seed", costs.same),
        ("AlphaDropout", "rate seed noise_shape", costs.same),
        ("ActivityRegularization", "l1 l2", costs.same),
        ("ZeroPadding2D", "padding data_format", costs.pad),
        ("Cropping2D", "cropping data_format", costs.crop),
        ("UpSampling2D", "size data_format interpolation", costs.upsample),
        ("Add", "", costs.merge),
        ("Subtract", "", costs.subtract),
        ("Multiply", "", costs.merge),
        ("Average", "", costs.merge),
        ("Maximum", "", costs.merge),
        ("Minimum", "", costs.merge),
        ("Concatenate", "axis", costs.concatenate),
        ("LSTM", f"{_RNN} recurrent_activation unit_forget_bias", costs.recurrent(4)),
        ("GRU", f"{_RNN} recurrent_activation reset_after", costs.recurrent(3)),
        ("SimpleRNN", _RNN, costs.recurrent(1)),
        ("MultiHeadAttention", "num_heads key_dim value_dim dropout use_bias use_gate output_shape attention_axes "
         f"sliding_window {_weights('kernel', 'bias')} activity_regularizer seed", costs.attention),
    )
}  # fmt: skip


def cost(name: str, config: dict, shapes: list[Shape], where: str) -> Cost:
    """Return what a layer makes of inputs of these shapes; Refused if it cannot take them."""
    try:
        return LAYERS[name].cost(config, shapes)
    except Misfit as error:
        raise Refused("shape", f"{where} cannot be built: {error}.", "Mend it and send the model again.") from None
