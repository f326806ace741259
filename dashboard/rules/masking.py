"""What is hidden of URLs and headers that Redeliver stores or shows: values whose names say that they are secret.

Names match patterns: `*` stands for any text, case does not count, and `_` and `-` are the same. The key in the
receiver's addresses is hidden too. The value that is used for a call is never masked.
"""

import re
from collections.abc import Iterable
from functools import lru_cache
from urllib.parse import unquote_plus

from dashboard.rules.outside_texts import MARK
from dashboard.rules.receiver_urls import HOOKS
from dashboard.rules.secret_texts import STARTS

REDACTED = "[redacted]"
"""Stands in place of a hidden value."""

NAMES = (
    "authorization", "*-authorization", "cookie", "set-cookie", "*token*", "*secret*", "*passw*", "*passphrase*", "pwd",
    "pass", "*api-key*", "*apikey*", "*access-key*", "*accesskey*", "*auth-key*", "*private-key*", "*subscription-key*",
    "*functions-key*", "*shared-key*", "*master-key*", "*admin-key*", "*service-key*", "*license-key*", "x-key", "key",
    "*credential*", "auth", "auth-*", "*-auth", "*-auth-*", "*session-id*", "*sessionid*", "sid", "jwt", "*-jwt",
    "*bearer*", "*-oidc-data", "*-jwt-*", "session", "*-session", "otp", "*-otp", "pin", "*-pin",
)  # fmt: skip
"""Headers, and parameters of a URL, whose values are hidden."""
NAMES_IN_URLS = ("*-key", "code", "sig", "sign", "signature", "*-signature", "hmac")
"""Parameters of a URL whose values are hidden too. In a header, a signature is no secret: people compare it."""

_OURS = "x-opentrain-"
"""Headers of OpenTrain are shown: the signature doctor needs them."""
_URL_HEADERS = frozenset({"location", "content-location", "referer", "refresh", "link"})
_SECRET_VALUE = re.compile(
    rf"(?:bearer|basic)\s+[\w+/=.~-]{{8,}}{MARK}?$|(?<![\w-])eyJ[\w-]{{8,}}\.[\w-]{{8,}}|\b(?:{'|'.join(STARTS)})\w",
    re.IGNORECASE,
)
"""Values that are secret whatever they are called: credentials, JSON Web Tokens, and the secrets that people handle."""
_HINTS = ("bearer", "basic", "eyj", *STARTS)
"""Each of those has one of these. Looking for them takes a fraction of the time, once for each header of a delivery."""
_IN_TEXT = re.compile(r"[A-Za-z][A-Za-z0-9+.-]{0,30}://[^\s\"'<>“”]+")
_USER_INFO = re.compile(r"^((?:[A-Za-z][A-Za-z0-9+.-]*:)?//)[^/?#]*@")
RECEIVER_KEY = re.compile(rf"({HOOKS})(?:[\w%-]{{40,130}}(?![\w%-])|[\w%-]+{MARK}$)", re.ASCII)
"""The key of a receiver's address, on any host, also where a long text was cut. Keys have 43 characters; a percent sign
begins an encoded one. A handler's own path, such as /hooks/opentrain, is shown."""
_BETWEEN = re.compile(r"([&;?#])")
HIDDEN_IN_URLS = rf"{RECEIVER_KEY.pattern}|{_USER_INFO.pattern}|([&;?#][^=&;?#]*=)[^&;?#]*"
"""All that `Masking.url` may hide, for searches in the database. Each group is what stays before it. Every parameter is
without its value, because only `Masking` knows which of them are secret."""
_AFTER = ").,"
"""What may follow a URL in a sentence."""
_CAMEL = re.compile(r"(?<=[a-z0-9])(?=[A-Z])")


class Masking:
    """The rule, with the operator's own patterns added to NAMES."""

    def __init__(self, *, names: Iterable[str] = ()) -> None:
        own = tuple(names)
        self._hidden = _pattern((*NAMES, *own))
        self._hidden_in_urls = _pattern((*NAMES, *NAMES_IN_URLS, *own))
        self.hides = lru_cache(maxsize=2000)(self._hides)

    def _hides(self, header: str) -> bool:
        """Return whether the values of this header are hidden."""
        return not header.lower().startswith(_OURS) and self._hidden.fullmatch(_plain(header)) is not None

    def header(self, name: str, value: str) -> str:
        """Return a header's value to store or show."""
        if self.hides(name) or (_is_secret(value) and not name.lower().startswith(_OURS)):
            return REDACTED
        return self.url(value) if name.lower() in _URL_HEADERS else self.text(value)

    def headers(self, given: Iterable[Iterable[str]]) -> list[list[str]]:
        """Return [name, value] pairs to store or show."""
        return [[name, self.header(name, value)] for name, value in given]

    def url(self, text: str) -> str:
        """Return a URL without its user name, password, secret parameters and receiver key. The rest stays as it is."""
        if "@" in text:
            text = _USER_INFO.sub(rf"\1{REDACTED}@", text)
        if HOOKS in text:
            text = RECEIVER_KEY.sub(rf"\1{REDACTED}", text)
        address, *rest = _BETWEEN.split(text)
        return "".join([address, *map(self._parameter, rest)])

    def text(self, text: str) -> str:
        """Return a text with its URLs masked."""
        return _IN_TEXT.sub(lambda found: self.url(found[0]), text) if "://" in text else text

    def _parameter(self, text: str) -> str:
        name, _, value = text.partition("=")
        bare = value.rstrip(_AFTER)
        if not bare or not (self._hides_parameter(name) or _is_secret(unquote_plus(bare))):
            return text
        return f"{name}={REDACTED}{value[len(bare) :]}"

    def _hides_parameter(self, name: str) -> bool:
        return self._hidden_in_urls.fullmatch(_plain(unquote_plus(name))) is not None


def _is_secret(value: str) -> bool:
    return any(map(value.lower().__contains__, _HINTS)) and _SECRET_VALUE.search(value) is not None


def _plain(name: str) -> str:
    return _CAMEL.sub("-", name.strip()).lower().replace("_", "-")


def _pattern(names: Iterable[str]) -> re.Pattern[str]:
    """Return one pattern for all names."""
    parts = [".*".join(map(re.escape, _plain(name).split("*"))) for name in names]
    return re.compile("|".join(parts), re.DOTALL)
