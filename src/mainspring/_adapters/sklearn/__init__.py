"""Learners from scikit-learn (extra ``sklearn``), written as plain numbers."""
