"""What a run is, one module a task: run(settings, instances, report) returns its table."""
