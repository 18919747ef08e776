"""Sources, datasets and their versions, expectations, cleaning, labels."""
