"""Triggers, challengers, comparison, rollout, rollback: the loop as one state machine."""
