"""Access to ministack's modules by their inner names."""

import importlib
from collections.abc import Callable
from functools import partial
from typing import Any


def inner(module: str, name: str) -> Any:
    """Return what a module of ministack has under a name now."""
    return getattr(importlib.import_module(module), name)


def wrap(module: str, wrappers: dict[str, Callable[..., Any]]) -> None:
    """Replace functions of a module by wrappers, which get the original as their first argument."""
    for name, wrapper in wrappers.items():
        setattr(importlib.import_module(module), name, partial(wrapper, inner(module, name)))


class AdapterError(Exception):
    """A package is not the version that its adapter was written for."""
