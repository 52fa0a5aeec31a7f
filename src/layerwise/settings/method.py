"""Typed settings of a method: an update rule, the network that it trains, and its grids. No torch."""

import importlib.util
from typing import Annotated, Any, Self

from pydantic import AfterValidator, BeforeValidator, ConfigDict, Field, model_validator

from layerwise.settings.rule import RuleCard, check_options, rule_card
from layerwise.settings.tasks import TASKS
from layerwise.settings.validation import NonNegative, Positive, Settings, validate


def as_list(value: Any) -> Any:
    """A single number stands for a list of one."""
    return [value] if isinstance(value, int | float) and not isinstance(value, bool) else value


Unit = Annotated[float, Field(ge=0, lt=1)]


class Options(Settings):
    """Bounds of the options that rules take beyond step size and damping. A method's file sets its
    own options; one that is not listed here is passed on to the rule as it is."""

    model_config = ConfigDict(strict=True, extra="allow", frozen=True, allow_inf_nan=False)

    beta1: Unit | None = None
    beta2: Unit | None = None
    epsilon: Positive | None = None
    precondition_outputs: bool | None = None
    lr_head: Positive | None = None
    factor_decay: Unit | None = None
    first_layer_only: bool | None = None
    momentum: Unit | None = None
    optimizer: Annotated[str, Field(pattern=r"^\w+(\.\w+)+$")] | None = None  # an import path


def _typed(options: dict[str, Any]) -> dict[str, Any]:
    """The options with numbers of the types that they stand for, 1 as 1.0. Raises ConfigError."""
    typed = validate(Options, options, "method.options").model_dump()
    return {key: typed[key] for key in options}


class MethodSettings(Settings):
    """An update rule, the network that it trains, and the grids of its step size and damping."""

    name: str
    # module.Class of methods/ or of ``rule_file``, or the import path of an installed one.
    rule: Annotated[str, Field(pattern=r"^\w+(\.\w+)+$")]
    # The file of a rule that is not in methods/; where the method's file lies, or its package, tells.
    rule_file: str | None = None
    # The file of options.optimizer, likewise.
    optimizer_file: str | None = None
    network: str  # of the task's
    lr: Annotated[list[Positive], BeforeValidator(as_list), Field(min_length=1)]
    # Empty where the rule has no damping.
    damping: Annotated[list[NonNegative], BeforeValidator(as_list)]
    # Step sizes of the grid that are reported whatever is selected, until half of stop_at.
    fixed_lr: Annotated[list[Positive], BeforeValidator(as_list)] = []
    options: Annotated[dict[str, Any], AfterValidator(_typed)]

    @property
    def card(self) -> RuleCard:
        """What the rule needs and takes."""
        return rule_card(self.rule, self.rule_file)

    @model_validator(mode="after")
    def _parts_fit(self) -> Self:
        card = self.card
        if self.damping and not card.takes_damping:
            raise ValueError(
                f"method.damping = {self.damping} is not allowed: {self.name} has no damping, leave []"
            )
        if card.takes_damping and not self.damping:
            raise ValueError("method.damping = [] is not allowed: at least one value is needed")
        if "gauss_newton" in card.needs and 0 in self.damping:
            raise ValueError(
                "method.damping = 0 is not allowed: the Gauss-Newton matrix of a two-layer network is "
                "singular, a positive damping is needed"
            )
        for lr in self.fixed_lr:
            if lr not in self.lr:
                raise ValueError(
                    f"method.fixed_lr = {lr} is not allowed: allowed are values of method.lr, {self.lr}"
                )
        for key in ("lr", "damping", "fixed_lr"):
            values = getattr(self, key)
            if len(set(values)) < len(values):
                raise ValueError(f"method.{key} = {values} is not allowed: values must differ")
        check_options(self.rule, card, self.options)
        return self


def filled_in(method: dict[str, Any], task: dict[str, Any]) -> dict[str, Any]:
    """The method's settings with its open ones filled in, as far as they can be told: from the task's
    ``grids``, and from what its network offers."""
    filled = dict(method)
    rule, grids = str(method.get("rule")), task.get("grids")
    if rule.count(".") > 1 and method.get("rule_file") is None:
        filled["rule_file"] = _file_of(rule.rpartition(".")[0])
    try:
        card = rule_card(rule, filled.get("rule_file"))
    except ValueError:
        # The rule is refused with the rest, unless what is left open is refused before it.
        return {"lr": [1.0], "damping": []} | {
            key: value for key, value in filled.items() if value is not None
        }
    if isinstance(grids, dict):
        for key in ("lr", "damping"):
            if key in method and method[key] is None:
                own = grids.get(card.scale, {}).get(key, [])
                filled[key] = own if key == "lr" or card.takes_damping else []
    options = method.get("options")
    if isinstance(options, dict):
        networks = TASKS[task["name"]].networks if str(task.get("name")) in TASKS else {}
        offers = networks.get(str(method.get("network")), frozenset())
        open_ones = [key for key in card.where_offered if options.get(key, True) is None]
        filled["options"] = options | {key: card.option_needs[key] in offers for key in open_ones}
    return filled


def _file_of(module: str) -> str | None:
    """The file of an installed module, None where it cannot be found."""
    try:
        spec = importlib.util.find_spec(module)
    except (ImportError, ValueError):
        return None
    return None if spec is None else spec.origin
