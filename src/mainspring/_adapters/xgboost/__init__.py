"""Gradient boosting by XGBoost (extra ``xgboost``): the serving runtime and the packer."""
