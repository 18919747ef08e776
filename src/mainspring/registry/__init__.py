"""Models, versions, aliases, stages of release, packages, signatures."""
