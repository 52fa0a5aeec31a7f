"""Snakemake's configuration: what it asks for, or one sentence on the key that it cannot ask with."""

import pytest

from layerwise.planning.request import Request, requested
from layerwise.settings.validation import ConfigError


def test_what_is_left_out_has_its_usual_value():
    assert requested({}) == Request()
    assert requested({"experiments": "spike", "scale": "quick"}) == Request(("spike",), "quick")
    assert requested({"overrides": "seeds=3"}) == Request(overrides=("seeds=3",))  # a list of one
    config = {"experiments": ["spike"], "overrides": ["seeds=3"], "cells_per_job": 4}
    assert requested(config) == Request(("spike",), "paper", ("seeds=3",), 4)


def test_a_request_is_what_its_own_configuration_asks_for():
    request = Request(("spike",), "quick", ("seeds=3",))
    assert requested(request.settings) == request


@pytest.mark.parametrize(
    ("config", "sentence"),
    [
        ({"scal": "quick"},
         "scal = 'quick' is not allowed in Snakemake's configuration: there is no such key, did you mean "
         "'scale'? (allowed are experiments, scale, overrides, cells_per_job"),
        ({"overides": []}, "did you mean 'overrides'?"),
        ({"experiment": "spike"}, "did you mean 'experiments'?"),
        ({"overrides": 3}, "overrides = 3 is not allowed: allowed is a list"),
        ({"overrides": {"seeds": 3}}, "overrides = {'seeds': 3} is not allowed: allowed is a list"),
        ({"overrides": [{"seeds": 3}]}, "overrides = [{'seeds': 3}] is not allowed: allowed is a list"),
        ({"experiments": {"spike": 1}}, "experiments = {'spike': 1} is not allowed: allowed is a list"),
        ({"experiments": [1]}, "experiments = [1] is not allowed: allowed is a list"),
        ({"experiments": 3}, "experiments = 3 is not allowed: allowed is a list"),
        ({"experiments": []}, "experiments = [] is not allowed: allowed is at least one experiment"),
        ({"scale": ["quick"]}, "scale = ['quick'] is not allowed: allowed is one name"),
        ({"scale": 3}, "scale = 3 is not allowed: allowed is one name"),
        *(({"cells_per_job": value}, f"cells_per_job = {value!r} is not allowed: allowed is a whole number")
          for value in (0, -1, 1.5, True, "many", [4])),
    ],
)  # fmt: skip
def test_what_cannot_be_asked_for_is_refused(config, sentence):
    with pytest.raises(ConfigError) as refused:
        requested(config)
    assert sentence in str(refused.value)
