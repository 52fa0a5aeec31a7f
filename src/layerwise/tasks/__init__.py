"""What a run is, one module a task: run(settings, instances, report) returns its table.

A task with keys that change only what is measured also has run_together(cells, instances, report).
"""
