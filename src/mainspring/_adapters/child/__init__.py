"""Models that run code of their own, in a process of their own, only where a setting allows it."""
