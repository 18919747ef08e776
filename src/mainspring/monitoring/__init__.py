"""Windows, sketches, drift, data quality, performance with late labels, alerts."""
