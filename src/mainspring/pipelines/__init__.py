"""Steps, graph, cache keys, executions, schedules."""
