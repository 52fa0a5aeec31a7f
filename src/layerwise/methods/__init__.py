"""Update rules, one file each; :mod:`layerwise.methods.base` says what a rule is."""
