"""The transform modules of 1.x, made of the present ones: of arrays (`c_transforms`), of images (`py_transforms`)."""

from collections.abc import Callable
from types import ModuleType
from typing import Any

from .notice import say


def vision(module: ModuleType) -> None:
    """Fill `transforms.vision` and its `utils`: everything of `dataset.vision`."""
    from mindspore.dataset import vision as present

    _all(module, present)


def vision_c(module: ModuleType) -> None:
    """Fill `vision.c_transforms`: transforms of arrays `[h, w, c]`; all have their present names."""
    from mindspore.dataset import vision as present

    _all(module, present)
    module.__dict__.update(Cutout=present.CutOut, TypeCast=_transforms().TypeCast)


def vision_py(module: ModuleType) -> None:
    """Fill `vision.py_transforms`: transforms of Pillow images, and after `ToTensor` of arrays `[c, h, w]`."""
    from mindspore.dataset import vision as present

    _all(module, present)
    module.__dict__.update(
        Decode=lambda: present.Decode(to_pil=True),
        Normalize=_with(present.Normalize, is_hwc=False),
        NormalizePad=_with(present.NormalizePad, is_hwc=False),
        Cutout=_with(present.CutOut, is_hwc=False),
        CutOut=_with(present.CutOut, is_hwc=False),
        **_orders(),
    )


def transforms_c(module: ModuleType) -> None:
    """Fill `transforms.c_transforms`."""
    _all(module, _transforms())


def transforms_py(module: ModuleType) -> None:
    """Fill `transforms.py_transforms`."""
    present = _transforms()
    _all(module, present)
    module.__dict__.update(OneHotOp=present.OneHot, **_orders())


def _orders() -> dict[str, Any]:
    present = _transforms()
    names = ("Compose", "RandomApply", "RandomChoice", "RandomOrder")
    return {name: getattr(present, name) for name in names} | {"ComposeOp": _compose}


def _compose(operations: list[Any]) -> Callable[[], Any]:
    """Return what `ComposeOp` of 0.x was: an object that is called once to get the transform."""
    say("ComposeOp(…)() is transforms.Compose(…)")
    return lambda: _transforms().Compose(operations)


def _with(function: Callable[..., Any], **fixed: object) -> Callable[..., Any]:
    return lambda *arguments, **named: function(*arguments, **{**fixed, **named})


def _transforms() -> Any:
    from mindspore.dataset import transforms

    return transforms


def _all(module: ModuleType, present: ModuleType) -> None:
    for name in dir(present):
        if not name.startswith("_"):
            setattr(module, name, getattr(present, name))
