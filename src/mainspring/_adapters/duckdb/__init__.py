"""SQL over tables, in process."""
