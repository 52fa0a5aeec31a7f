"""Refusals in one sentence: the key, the value, what is allowed, and the nearest name. No torch."""

from difflib import get_close_matches
from typing import Annotated, Any, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError

Model = TypeVar("Model", bound=BaseModel)
Positive = Annotated[float, Field(gt=0)]
NonNegative = Annotated[float, Field(ge=0)]
LONGEST_WORD = 400


class ConfigError(ValueError):
    """A setting that cannot be used; its text is one sentence for the person who wrote it, in one line,
    with escapes for what does not print and overlong words cut."""

    def __init__(self, text: str) -> None:
        super().__init__(one_line(text))


def one_line(text: str) -> str:
    """A text in one line, with escapes for what does not print and overlong words cut."""
    line = " ".join(_cut(word) for word in text.split())
    return "".join(c if c.isprintable() else ascii(c)[1:-1] for c in line)


def _cut(word: str) -> str:
    """A word whose middle is left out where it is longer than any name."""
    return word if len(word) <= LONGEST_WORD else f"{word[: LONGEST_WORD // 2]}…{word[-20:]}"


class Settings(BaseModel):
    """Base of all settings: exact types, no unknown keys, no NaN or infinity."""

    model_config = ConfigDict(strict=True, extra="forbid", frozen=True, allow_inf_nan=False)


def nearest(name: str, allowed: list[str]) -> str:
    """A hint at the nearest allowed name, or nothing."""
    # A key's last word alone is that key's, however long the rest is.
    below = [one for one in allowed if name and one.endswith(f".{name}")]
    close = sorted(below, key=lambda one: one.count("."))[:1]
    lower = {one.lower(): one for one in allowed}
    close = close or get_close_matches(name.lower(), lower, n=1, cutoff=0.5)
    return f", did you mean {lower.get(close[0], close[0])!r}?" if close else ""


def _sentence(error: ValidationError, prefix: str) -> str:
    """The first error as one sentence: key, value, what is allowed."""
    first = error.errors()[0]
    if first["type"] == "value_error" and "= " in str(first["ctx"]["error"]):
        return str(first["ctx"]["error"])  # our own, already a whole sentence
    # Union branches and list positions are pydantic's, not keys of the configuration.
    place = first["loc"] if first["loc"][:1] != ("task",) else ("task", *first["loc"][2:])
    branches = ("int", "float", "literal", "str")
    keys = [key for key in place if isinstance(key, str) and key not in branches]
    key = ".".join([prefix, *keys] if prefix else keys)
    message = first["msg"].removeprefix("Value error, ").removeprefix("Input should be ")
    allowed = f"allowed is {message}" if not message.startswith("allowed") else message
    hint = ""
    if first["type"] == "literal_error" and isinstance(first["input"], str):
        choices = first["ctx"]["expected"].replace("'", "").replace(" or ", ", ").split(", ")
        hint = nearest(first["input"], choices)
    if first["type"] == "extra_forbidden":
        allowed = "it is unknown"
    if first["type"] == "list_type" and isinstance(first["input"], str | int | float):
        allowed = f"allowed is a list, as in {key}=[{first['input']}]"
    if first["type"] == "too_short":
        allowed = "at least one value is needed"
    if first["type"] == "missing":
        return f"{key} is missing"
    return f"{key} = {first['input']!r} is not allowed: {allowed}{hint}"


def validate(model: type[Model], values: Any, prefix: str = "") -> Model:
    """Validate values against a model. Raises ConfigError with one sentence about the first error."""
    try:
        return model.model_validate(values)
    except ValidationError as error:
        raise ConfigError(_sentence(error, prefix)) from None
