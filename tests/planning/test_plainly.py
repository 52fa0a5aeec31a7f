"""Plain files with changed keys are what OmegaConf makes of them; for anything else it is asked."""

import pytest
from omegaconf import OmegaConf

from layerwise.planning.overrides import Change
from layerwise.planning.plainly import plainly_changed

FILES = {"steps": 3, "experiment": {"target": 0.1, "methods": ["sgd"]}, "of": {"steps": "${steps}"}}


def change(key: str, value: object) -> Change:
    return Change(key, value, False, key, str(value))


@pytest.mark.parametrize(
    "changes",
    [
        [],
        [change("steps", 7)],
        [change("experiment.target", 0.2), change("of.steps", "${experiment.target}")],
        [change("of.steps", [1, "${steps}"])],
        [change("steps", None)],
    ],
)
def test_references_to_one_value_are_followed(changes: list[Change]) -> None:
    config = OmegaConf.create(FILES)
    for one in changes:
        OmegaConf.update(config, one.key, one.value)
    assert plainly_changed(FILES, changes) == OmegaConf.to_container(config, resolve=True)
    assert FILES["of"] == {"steps": "${steps}"}


@pytest.mark.parametrize(
    "value",
    [
        "${experiment}", "${experiment.methods}", "${no.such}", "${experiment.target.deeper}",
        "${of.steps}", "${.steps}", "1${steps}", "${oc.env:HOME}", "${${steps}}", "${steps", "???",
        r"\${steps}",
    ],
)  # fmt: skip
def test_other_references_are_left_to_omegaconf(value: str) -> None:
    files = FILES | {"other": value}
    assert plainly_changed(files, []) is None
    assert plainly_changed(FILES, [change("steps", value)]) is None
