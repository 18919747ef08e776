"""Public: a conformance suite for each port, an in-memory workspace, a clock one can set."""
