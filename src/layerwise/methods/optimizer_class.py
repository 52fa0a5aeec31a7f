"""Classes of ``torch.optim.Optimizer`` by their import path, and the keywords that they take."""

import importlib
import inspect
from collections.abc import Mapping
from types import ModuleType
from typing import Any, NamedTuple

from torch.optim import Optimizer

from layerwise.settings.validation import ConfigError, nearest

POSITIONAL = inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD
KEYWORDS = inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY
# Whatever another package raises, and leaves by.
RAISED = (Exception, SystemExit)
OPEN = inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD


class Keywords(NamedTuple):
    """What a class can be made with beside its parameters."""

    names: tuple[str, ...]
    required: tuple[str, ...]  # without a default
    is_open: bool  # to further ones, as **kwargs


def optimizer_class(path: str, own: ModuleType | None = None) -> type[Optimizer]:
    """The class that ``path`` names, of the module ``own`` or of one that is imported; settings have
    checked that its package is an allowed one. Raises ConfigError."""
    where, _, name = path.rpartition(".")
    try:
        module = own or importlib.import_module(where)
    except RAISED as error:
        raise ConfigError(
            f"method.options.optimizer = {path!r} is not allowed: {where} cannot be imported ({error})"
        ) from None
    try:
        found = getattr(module, name)  # also of what a module makes when it is asked for
    except RAISED:  # its __getattr__ may import, and so raise anything
        found = None
    if not (isinstance(found, type) and issubclass(found, Optimizer)):
        raise ConfigError(
            f"method.options.optimizer = {path!r} is not allowed: allowed is a torch.optim.Optimizer "
            f"class of {where}{nearest(name, _classes(module))}"
        )
    return found


def _classes(module: ModuleType) -> list[str]:
    """Names for a hint: the module's classes, and what it says to export lazily."""
    content = vars(module)
    return [
        name
        for name in dir(module)
        if name not in content
        or (isinstance(content[name], type) and issubclass(content[name], Optimizer))
    ]


def check_keywords(path: str, found: type[Optimizer], settings: Mapping[str, Any]) -> None:
    """Refuse a class that takes no lr or needs more than it is given, and what no signature names. What
    goes into **kwargs can be told only once it is made, see :func:`check_taken`. Raises ConfigError."""
    keywords = keywords_of(found)
    refused = (
        f"method.options.optimizer = {path!r} is not allowed: allowed are optimisers that take lr"
    )
    if "lr" not in keywords.names and not keywords.is_open:
        raise ConfigError(refused)
    if missing := [name for name in keywords.required if name not in settings and name != "lr"]:
        raise ConfigError(f"{refused} and parameters, and it needs {' and '.join(missing)} as well")
    if not keywords.is_open:
        for key in settings:
            _refuse_unless_in(keywords.names, path, key, settings[key])


def check_taken(path: str, made: Optimizer, lr: float, settings: Mapping[str, Any]) -> None:
    """Refuse what **kwargs swallowed without a word: neither a signature names it nor is it among the
    defaults of what was made. Raises ConfigError."""
    keywords = keywords_of(type(made))
    if "lr" not in keywords.names and made.defaults.get("lr") != lr:
        raise ConfigError(
            f"method.options.optimizer = {path!r} is not allowed: allowed are optimisers that take lr"
        )
    for key, value in settings.items():
        if key not in made.defaults:
            _refuse_unless_in(keywords.names, path, key, value)


def _refuse_unless_in(names: tuple[str, ...], path: str, key: str, value: Any) -> None:
    allowed = [name for name in names if name != "lr"]
    if key not in allowed:
        raise ConfigError(
            f"method.options.{key} = {value!r} is not allowed: {path} takes "
            f"{', '.join(allowed)}{nearest(key, allowed)}"
        )


def keywords_of(found: type[Optimizer]) -> Keywords:
    """Of the signature of its __init__; where this passes **kwargs on, of its bases' as well, as far as
    they are optimisers to be used."""
    names: dict[str, None] = {}
    required: list[str] = []
    is_open = False
    for base in found.__mro__:
        if "__init__" not in vars(base):
            continue
        parameters = list(inspect.signature(vars(base)["__init__"]).parameters.values())[1:]
        # The first, whatever it is called, is what the parameters go to.
        rest = parameters[1:] if parameters and parameters[0].kind in POSITIONAL else parameters
        taken = [one for one in rest if one.kind in KEYWORDS]
        if is_open and "defaults" in [one.name for one in taken]:
            break  # an abstract base, which a class calls with what it has made of its keywords
        if not names:
            required = [one.name for one in taken if one.default is one.empty]
        names |= dict.fromkeys(one.name for one in taken)
        is_open = any(one.kind in OPEN for one in parameters)
        if not is_open:
            break
    return Keywords(tuple(names), tuple(required), is_open)
