"""Models, versions, aliases, stages of release, packages, signatures.

A *model* is a name. A *version* is a package under that name with the next number; a package is a
manifest and the files it names by digest, immutable and stored by content. An *alias*
(``late@champion``) points at one version, is moved by compare-and-set, and remembers every move:
what was in production at any past moment has one answer. A version is *registered*, then
*approved*, *rejected* or *archived*; only the first two may carry an alias.

Every change is one transaction with its event, so audit and lineage miss nothing. What training
recorded (:class:`Facts`) is kept beside the package and makes the model card.
"""

from mainspring.registry.address import Address, parse_address
from mainspring.registry.card import Card
from mainspring.registry.details import Details
from mainspring.registry.facts import Facts
from mainspring.registry.manifest import Decision, Manifest
from mainspring.registry.query import Clause, Order, Query
from mainspring.registry.service import Registry, open_registry
from mainspring.registry.types import ANYTHING, Because, Version

__all__ = [
    "ANYTHING",
    "Address",
    "Because",
    "Card",
    "Clause",
    "Decision",
    "Details",
    "Facts",
    "Manifest",
    "Order",
    "Query",
    "Registry",
    "Version",
    "open_registry",
    "parse_address",
]
