"""A replay as one self-contained page: text, tables and drawings, no script and no network."""
