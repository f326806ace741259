"""A small OpenID Connect provider on loopback. It really signs and checks PKCE, and a test can make it lie.

The browser's part, /authorize, redirects back at once, signed in as the person in `claims`.
"""

import base64
import contextlib
import hashlib
import json
import secrets
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlencode, urlsplit

import jwt
from cryptography.hazmat.primitives.asymmetric import rsa

from dashboard.config.oidc import Oidc

CLIENT_ID, CLIENT_SECRET = "redeliver", "canary-oidc-client-secret"


def new_key() -> rsa.RSAPrivateKey:
    return rsa.generate_private_key(public_exponent=65537, key_size=2048)


KEY = new_key()


class Provider(ThreadingHTTPServer):
    """Answers as a provider does; its attributes decide the contents."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.issuer = self.described_issuer = f"http://127.0.0.1:{self.server_address[1]}"
        self.key, self.alg = KEY, "RS256"
        self.claims: dict[str, Any] = {"sub": "u-1", "email": "ana@example.com", "email_verified": True}
        self.userinfo: dict[str, Any] = {}
        self.is_broken = False
        self._waiting: dict[str, dict[str, str]] = {}

    @property
    def settings(self) -> dict[str, Any]:
        """Return the settings of a site that uses this provider."""
        oidc = Oidc(issuer=self.issuer, client_id=CLIENT_ID, client_secret=CLIENT_SECRET, name="Example SSO")
        return {"OIDC_NAME": oidc.name, "SOCIALACCOUNT_PROVIDERS": {"openid_connect": {"APPS": [oidc.as_app()]}}}

    def authorize(self, address: str) -> str:
        """Act as the browser that opens `address`; return the URL that it is redirected to."""
        asked = {name: values[0] for name, values in parse_qs(urlsplit(address).query).items()}
        assert (asked["client_id"], asked["response_type"], asked["code_challenge_method"]) == (
            CLIENT_ID, "code", "S256",
        )  # fmt: skip
        code = secrets.token_urlsafe(16)
        self._waiting[code] = asked
        return f"{asked['redirect_uri']}?{urlencode({'code': code, 'state': asked['state']})}"

    def token(self, form: dict[str, str]) -> dict[str, Any] | None:
        """Exchange a code for tokens, once, if the PKCE verifier and the client secret match; else return None."""
        asked = self._waiting.pop(form.get("code", ""), None)
        digest = hashlib.sha256(form.get("code_verifier", "").encode()).digest()
        challenge = base64.urlsafe_b64encode(digest).rstrip(b"=").decode()
        if asked is None or challenge != asked["code_challenge"] or form.get("client_secret") != CLIENT_SECRET:
            return None
        return {"access_token": "at-1", "token_type": "Bearer", "id_token": self.id_token()}

    def id_token(self) -> str:
        now = int(time.time())
        claims = {"iss": self.issuer, "aud": CLIENT_ID, "iat": now, "exp": now + 300, **self.claims}
        claims = {name: value for name, value in claims.items() if value is not None}
        return jwt.encode(claims, self.key, algorithm=self.alg, headers={"kid": "k1"})

    def answer(self, path: str) -> Any:
        base = self.issuer
        return {
            "/.well-known/openid-configuration": {
                "issuer": self.described_issuer, "authorization_endpoint": f"{base}/authorize",
                "token_endpoint": f"{base}/token", "userinfo_endpoint": f"{base}/userinfo", "jwks_uri": f"{base}/jwks",
                "token_endpoint_auth_methods_supported": ["client_secret_post"],
            },
            "/jwks": {"keys": [{**json.loads(jwt.algorithms.RSAAlgorithm.to_jwk(KEY.public_key())), "kid": "k1"}]},
            "/userinfo": self.userinfo or {"sub": self.claims["sub"]},
        }.get(path)  # fmt: skip


class _Handler(BaseHTTPRequestHandler):
    server: Provider

    def do_GET(self) -> None:
        if urlsplit(self.path).path == "/authorize":
            self.send_response(302)
            self.send_header("Location", self.server.authorize(self.path))
            self.send_header("Content-Length", "0")
            self.end_headers()
        else:
            self._say(self.server.answer(urlsplit(self.path).path))

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"])).decode()
        self._say(self.server.token({name: values[0] for name, values in parse_qs(body).items()}))

    def _say(self, answer: Any) -> None:
        body = json.dumps(answer).encode()
        self.send_response(503 if self.server.is_broken else 200 if answer else 400)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: Any) -> None:
        pass


@contextlib.contextmanager
def running() -> Iterator[Provider]:
    """Run a provider on a free port until the block ends."""
    with Provider() as provider:
        thread = threading.Thread(target=provider.serve_forever, args=(0.05,), daemon=True)
        thread.start()
        yield provider
        provider.shutdown()
        thread.join()
