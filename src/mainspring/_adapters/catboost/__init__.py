"""Gradient boosting by CatBoost (extra ``catboost``): the serving runtime and the packer."""
