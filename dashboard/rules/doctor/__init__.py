"""Diagnosis of signatures that fail, with advice. No Django, no clock; nothing is stored.

`signatures.verify` decides. The doctor only explains its decision, so the two cannot disagree.
"""

from dashboard.rules.doctor.diagnosis import Diagnosis, Kind
from dashboard.rules.doctor.examine import NamedSecret, diagnose
from dashboard.rules.doctor.logged import SAME, Refused, compare, from_log
from dashboard.rules.doctor.paste import HEADERS, NotHeaders, parse_headers

__all__ = [
    "HEADERS",
    "SAME",
    "Diagnosis",
    "Kind",
    "NamedSecret",
    "NotHeaders",
    "Refused",
    "compare",
    "diagnose",
    "from_log",
    "parse_headers",
]
