"""A Mainspring server as a store: tracking and registry over ``/api/v1``, with the same methods."""
