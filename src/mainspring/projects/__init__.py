"""A project of a user: the whole of mainspring.toml, its Python files, and what they make run."""
