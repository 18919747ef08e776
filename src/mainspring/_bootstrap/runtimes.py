"""Which adapters read and keep which models: the one place that names them."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from mainspring.core.settings import Resolved
    from mainspring.serving.ports import Packer, Runtime


def known_runtimes(
    settings: Mapping[str, Resolved] | None = None, trust: Collection[str] = ()
) -> dict[str, Runtime]:
    """Every serving runtime by name; the settings say what may run here besides plain files.

    Without settings nothing may: no types but the reviewed (and ``trust``), no foreign code.
    """
    from mainspring._adapters.catboost.runtime import CatboostRuntime
    from mainspring._adapters.child.runtime import CustomRuntime, MlflowRuntime
    from mainspring._adapters.lightgbm.runtime import LightgbmRuntime
    from mainspring._adapters.linear.runtime import ConstantRuntime, LinearRuntime
    from mainspring._adapters.onnx.runtime import OnnxRuntime
    from mainspring._adapters.skops.runtime import SkopsRuntime
    from mainspring._adapters.torch.runtime import TorchRuntime
    from mainspring._adapters.xgboost.runtime import XgboostRuntime

    found: list[Runtime] = [
        LightgbmRuntime(use_kernel=_is_on(settings, "compiled")),
        XgboostRuntime(),
        CatboostRuntime(),
        LinearRuntime(),
        ConstantRuntime(),
        OnnxRuntime(),
        TorchRuntime(),
        CustomRuntime(allowed=_is_on(settings, "custom_code")),
        MlflowRuntime(str(settings["mlflow_python"].value) if settings else ""),
        SkopsRuntime({*_names(settings, "trusted_types"), *trust}),
    ]
    return {runtime.name: runtime for runtime in found}


def packers(trust: Collection[str] = ()) -> tuple[Packer, ...]:
    """What keeps models of which library; the first that takes a model keeps it."""
    from mainspring._adapters.catboost.packer import CatboostPacker
    from mainspring._adapters.lightgbm.packer import LightgbmPacker
    from mainspring._adapters.onnx.convert import from_lightgbm, from_sklearn, without_maps
    from mainspring._adapters.onnx.packer import OnnxPacker
    from mainspring._adapters.skops.packer import SklearnPacker
    from mainspring._adapters.torch.packer import TorchPacker
    from mainspring._adapters.xgboost.packer import XgboostPacker

    return (
        TorchPacker(),
        OnnxPacker(),
        LightgbmPacker(from_lightgbm),
        XgboostPacker(),
        CatboostPacker(without_maps),
        SklearnPacker(from_sklearn, trust),
    )


def _is_on(settings: Mapping[str, Resolved] | None, name: str) -> bool:
    return bool(settings and name in settings and settings[name].value)


def _names(settings: Mapping[str, Resolved] | None, name: str) -> tuple[str, ...]:
    """The comma-separated words of a setting."""
    text = str(settings[name].value) if settings and name in settings else ""
    return tuple(word.strip() for word in text.split(",") if word.strip())
