"""Plain files: the one opener of paths, and objects by content."""
