"""Gradient boosting by LightGBM (extra ``lightgbm``): the learner and the serving runtime."""
