"""Lineage, audit, policies, fairness, cards, erasure."""
