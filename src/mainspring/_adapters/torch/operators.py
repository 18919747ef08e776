"""The operators that a program may use: arithmetic on what it is given, and nothing else.

Reviewed by these questions: does it compute its answer from its arguments alone (no file, no random
number, no memory that nobody wrote: so no ``from_file``, ``rand``, ``empty``), does it leave its
arguments as they are, does it check where indices lead (so no ``_unsafe_index``, ``as_strided``)?
Names are looked up in this list before they are looked up in PyTorch.
"""

from __future__ import annotations

import math
import operator
from collections.abc import Callable, Mapping
from typing import Any, Final

TENSOR_PREFIX: Final = "aten."

_REVIEWED: Final = """
    abs acos acosh adaptive_avg_pool1d adaptive_avg_pool2d add addcdiv addcmul addmm alias all amax
    amin any arange argmax argmin asin asinh atan atan2 atanh avg_pool1d avg_pool2d baddbmm
    batch_norm bilinear bitwise_and bitwise_not bitwise_or bitwise_xor bmm broadcast_to bucketize cat
    ceil celu chunk clamp clamp_max clamp_min clone concat concatenate constant_pad_nd contiguous
    conv1d conv2d convolution copysign cos cosh cosine_similarity cummax cummin cumprod cumsum deg2rad
    detach diagonal div dot dropout einsum elu embedding eq erf erfc exp exp2 expand expand_as expm1
    feature_dropout fill flatten flip float_power floor floor_divide fmax fmin fmod frac full
    full_like gather ge gelu glu greater greater_equal group_norm gru gt hardshrink hardsigmoid
    hardswish hardtanh heaviside hypot index index_add index_copy index_fill index_put index_select
    inner isclose isfinite isinf isnan isneginf isposinf kron layer_norm le leaky_relu
    lerp less less_equal lift_fresh_copy linalg_vector_norm linear log log10 log1p log2 log_sigmoid
    log_softmax logaddexp logical_and logical_not logical_or logical_xor logit logsumexp lstm lt
    masked_fill masked_scatter matmul max max_pool1d max_pool2d maximum mean median min minimum mish
    mm movedim mul mv nan_to_num nanmean nansum narrow native_group_norm native_layer_norm ne neg
    new_full new_ones new_zeros norm one_hot ones ones_like outer pad permute pixel_shuffle pow prelu
    prod rad2deg reciprocal reflection_pad1d relu relu6 remainder repeat repeat_interleave
    replication_pad1d reshape rms_norm rnn_relu rnn_tanh roll round rsqrt rsub scalar_tensor
    scaled_dot_product_attention scatter scatter_add scatter_reduce searchsorted select select_scatter
    selu sigmoid sign silu sin sinc sinh slice slice_scatter softmax softplus softshrink sort
    special_expit split split_with_sizes sqrt square squeeze stack std std_mean sub subtract sum
    swapaxes sym_numel sym_size t take_along_dim tan tanh tensor_split threshold tile to
    topk transpose tril triu true_divide trunc type_as unbind unflatten unsqueeze upsample_linear1d
    upsample_nearest1d var var_mean view view_as where xlogy zeros zeros_like
    _adaptive_avg_pool2d _cdist_forward _log_softmax
    _native_batch_norm_legit_no_training _scaled_dot_product_flash_attention_for_cpu _softmax
    _to_copy _unsafe_view
"""
TENSOR_OPERATORS: Final = frozenset(_REVIEWED.split())
# Statements about sizes and kinds of what is fed: it is fed as the program says, so they are left out.
STATEMENTS: Final = frozenset(
    {
        "_assert_async",
        "_assert_scalar",
        "_assert_tensor_metadata",
        "sym_constrain_range",
        "sym_constrain_range_for_size",
    }
)
# Overloads for TorchScript alone: some end the process when a size is nought or a kind is missing
# ("remainder.int", "to.prim_dtype"). Those that answer with plain numbers are told by that, but these.
SCRIPT_ONLY: Final = ("prim_", "hacked_twin")
SIZES: Final = frozenset({"sym_numel", "sym_size"})
# Random, or learning while it answers, unless this argument is off.
ONLY_WHEN_OFF: Final = {
    "batch_norm": "training",
    "dropout": "train",
    "feature_dropout": "train",
    "gru": "train",
    "lstm": "train",
    "rnn_relu": "train",
    "rnn_tanh": "train",
    "scaled_dot_product_attention": "dropout_p",
    "_scaled_dot_product_flash_attention_for_cpu": "dropout_p",
}

_LARGEST: Final = 2**62


def _bounded(function: Callable[..., Any]) -> Callable[..., Any]:
    """The function on numbers of a usual size: multiplied by itself often, one fills the memory."""

    def call(*values: Any) -> Any:
        if not all(isinstance(one, bool | int | float) for one in values):
            raise TypeError("a size is no number")
        found = function(*values)
        if abs(found) > _LARGEST:
            raise OverflowError("a size is too large")
        return found

    return call


NUMBER_OPERATORS: Final[Mapping[str, Callable[..., Any]]] = {
    name: _bounded(function)
    for name, function in {
        **{
            f"_operator.{one}": getattr(operator, one)
            for one in (
                "add", "sub", "mul", "floordiv", "truediv", "mod", "neg", "eq", "ne", "lt", "le",
                "gt", "ge", "and_", "or_", "not_",
            )
        },
        "math.ceil": math.ceil,
        "math.floor": math.floor,
        "math.trunc": math.trunc,
        "torch.sym_float": float,
        "torch.sym_int": int,
        "torch.sym_max": max,
        "torch.sym_min": min,
        "torch.sym_not": operator.not_,
    }.items()
}  # fmt: skip


def is_known(name: str) -> bool:
    """Whether a program may name it: ``aten.NAME.OVERLOAD`` or an operation on sizes."""
    if name in NUMBER_OPERATORS:
        return True
    parts = name.split(".")
    known = len(parts) == 3 and parts[0] == "aten" and parts[1] in TENSOR_OPERATORS  # noqa: PLR2004 - as above
    return known and parts[2].isidentifier() and not parts[2].startswith("__")
