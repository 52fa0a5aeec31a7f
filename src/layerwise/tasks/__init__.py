"""What a run is, one module a task: run(cells, instances, report) returns the table of each cell.

Cells are settings that differ in the task's ``measured_only`` keys alone; they are trained once.
"""
