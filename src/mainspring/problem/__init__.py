"""Why: objective, questions, target, success metrics, guardrails, decision costs, KPI."""
