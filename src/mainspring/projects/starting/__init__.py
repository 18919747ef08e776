"""Starting a project: look at the data, ask nine questions, write the answers down.

``start_project`` does all of it; an ``Interview`` puts the questions to a person, and without one
the answers given and what the data shows stand. What is written is read back before it is put in
place, and nothing is ever overwritten or left half done.
"""

from mainspring.projects.starting.answers import QUESTIONS, Answers, Interview
from mainspring.projects.starting.start import Started, start_project, template_names
from mainspring.projects.starting.table import TableSeen, look_at_csv

__all__ = [
    "QUESTIONS",
    "Answers",
    "Interview",
    "Started",
    "TableSeen",
    "look_at_csv",
    "start_project",
    "template_names",
]
