"""Files that `layerwise new-method` starts a method from."""
