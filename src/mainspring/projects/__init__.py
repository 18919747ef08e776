"""The project file: what a project is, wants, reads, trains, serves, watches and improves.

``read_project(folder)`` gives the whole of ``mainspring.toml`` as one frozen value in which
everything holds together, or a ``ProjectInvalid`` that lists every problem with line, column, key
and the nearest spelling. ``parse_project(text)`` does the same to a text.
"""

from mainspring.projects.file import FILE_NAME, LoadedProject, parse_project, read_project
from mainspring.projects.flaws import FileProblem, ProjectInvalid
from mainspring.projects.spec import ProjectFile

__all__ = [
    "FILE_NAME",
    "FileProblem",
    "LoadedProject",
    "ProjectFile",
    "ProjectInvalid",
    "parse_project",
    "read_project",
]
