"""These tests are run by the Python of an environment with PyTorch, not by the usual one.

``tests/adapters/test_torch_environment.py`` does that.
"""

from importlib.util import find_spec

collect_ignore_glob = [] if find_spec("torch") else ["test_*.py"]
