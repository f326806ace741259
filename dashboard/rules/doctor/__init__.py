"""Why a signature fails, and how to mend it. Standard library only: no Django, no clock, nothing is kept.

`signatures.verify` decides; what is here only explains what it decided, so the two cannot disagree.
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
