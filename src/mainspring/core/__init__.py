"""The words that all stages share: no I/O, standard library and msgspec only."""
