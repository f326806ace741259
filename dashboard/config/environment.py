"""Reading settings from the environment; secrets also from the file named by NAME_FILE."""

import os
import re
import ssl
from pathlib import Path
from urllib.parse import urlsplit

from django.core.exceptions import ImproperlyConfigured

from dashboard.rules import pasted

LOOPBACK = ("localhost", "127.0.0.1", "[::1]")
"""Names, as a URL has them, that mean the machine itself wherever they are used."""
_KEY = re.compile(r"[A-Za-z0-9_+/-]{43}=")
_OFF = {"0", "", "false", "no", "off"}


def flag(name: str, *, default: bool) -> bool:
    """Return whether the variable is set to anything but an empty text or a word for no.

    Spaces and case do not count: a file of variables may have Windows line ends.
    """
    return os.environ.get(name, "1" if default else "0").strip().lower() not in _OFF


def items(name: str, default: str = "") -> list[str]:
    """Return the items of a list (see `split`)."""
    return split(os.environ.get(name, default))


def split(text: str) -> list[str]:
    """Return the items of a list that is separated by commas or lines, or written as JSON; without quotation marks."""
    return pasted.values(text)


def keys(name: str, text: str) -> list[str]:
    """Return the Fernet keys of a list; none of an empty text.

    Raises: ImproperlyConfigured with the place of one that is no key, or if there is no key in the text.
    """
    found = split(text)
    if text and not found:
        raise ImproperlyConfigured(f"{name} is set and holds no key: a key is 44 characters of URL-safe base64.")
    for number, key in enumerate(found, 1):
        # Stricter than Fernet, which reads only the first of two keys that were joined.
        if not _KEY.fullmatch(key):
            raise ImproperlyConfigured(
                f"{name}: key {number} of {len(found)} is not a key: a key is 44 characters of URL-safe base64."
            )
    return found


def url(name: str, default: str = "") -> str:
    """Return a URL without its final slash, and without quotation marks or invisible characters around it."""
    return pasted.bare(os.environ.get(name, default)).rstrip("/")


def certificates(name: str) -> str:
    """Return the path of a PEM file of certificates, empty if it is not set. Raises: ImproperlyConfigured."""
    path = os.environ.get(name, "").strip()
    if path:
        try:
            ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).load_verify_locations(cafile=path)
        except OSError as error:
            raise ImproperlyConfigured(f"{name}: {path!r} is not a readable PEM file of certificates.") from error
    return path


def is_loopback(url: str) -> bool:
    """Return whether the URL's host is one of LOOPBACK."""
    try:
        host = re.sub(r":\d+$", "", urlsplit(url).netloc.lower())
    except ValueError:  # versions of Python differ in what they take for an address
        return False
    return host in LOOPBACK


def is_given(name: str) -> bool:
    """Return whether the secret is set, as NAME or NAME_FILE."""
    return bool(os.environ.get(name) or os.environ.get(f"{name}_FILE"))


def secret(name: str) -> str:
    """Return a secret from NAME or from the file named by NAME_FILE (without its final newline); "" if unset.

    A byte order mark and Windows line ends, which some editors write, are not part of a secret.

    A file can be protected by its mode; an environment is visible in process listings and inherited by children.

    Raises: ImproperlyConfigured if both are set, or if the file is empty or cannot be read: a secret missing by mistake
    must not look like one left out on purpose. The message never contains the value.
    """
    given, path = os.environ.get(name, ""), os.environ.get(f"{name}_FILE", "")
    if not path:
        return given
    if given:
        raise ImproperlyConfigured(f"{name} and {name}_FILE are both set: remove one of them.")
    try:
        text = Path(path).read_text(encoding="utf-8-sig").rstrip("\r\n")
    except UnicodeDecodeError:
        raise ImproperlyConfigured(f"{name}_FILE: {path} is not text in UTF-8.") from None
    except OSError as error:
        raise ImproperlyConfigured(f"{name}_FILE: {path} cannot be read: {error.strerror}.") from error
    if not text:
        raise ImproperlyConfigured(f"{name}_FILE: {path} is empty.")
    return text
