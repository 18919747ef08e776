"""ONNX Runtime: models and whole pipelines as ONNX graphs."""
