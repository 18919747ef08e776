"""One folder per technology; one technology does not know another."""
