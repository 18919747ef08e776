"""Our own plain models: linear ones and constants, as JSON, in numpy."""
