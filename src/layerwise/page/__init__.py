"""One offline page of results: claims, data to explore, figures, what was run, comparisons. No torch."""
