"""The sign-in of the Hub on loopback, by OpenID Connect: who lets a Space know their name gets a code for it.

with Provider("id", "secret").serving() as provider:
    provider.user = "ann"  # who sits at the browser
"""

import base64
import contextlib
import secrets
import threading
import time
from collections.abc import Iterator
from urllib.parse import parse_qs, urlencode, urlsplit

from hub_http import Answer, Handler, HubError, Request, Server
from joserfc import jwt
from joserfc.jwk import RSAKey


class Provider:
    """The server's state and its routes."""

    def __init__(self, client: str, secret: str):
        self.client, self.secret = client, secret
        self.user = "ann"  # who sits at the browser and allows everything
        self.lifetime = 3600  # seconds of a session
        self.log: list[Request] = []
        self.codes: dict[str, dict[str, str]] = {}  # each is good for one session
        self._key = RSAKey.generate_key(2048, parameters={"kid": "one"})
        provider = self

        class OwnHandler(Handler):
            pass

        OwnHandler.hub = provider
        self._server = Server(("127.0.0.1", 0), OwnHandler)
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}"

    @contextlib.contextmanager
    def serving(self) -> Iterator["Provider"]:
        """Answer requests in threads of this process until the block is left."""
        threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()
        try:
            yield self
        finally:
            self._server.shutdown()
            self._server.server_close()

    # What the handler asks

    def fault_for(self, method: str, path: str) -> None:
        """No request goes wrong here."""

    def account(self, authorization: str | None) -> str | None:
        return authorization

    def answer(self, method: str, target: str, body: bytes, authorization: str | None) -> Answer:
        parts = urlsplit(target)
        said = {key: values[0] for key, values in parse_qs(parts.query or body.decode()).items()}
        match method, parts.path:
            case "GET", "/.well-known/openid-configuration":
                places = {"authorization_endpoint": "authorize", "token_endpoint": "token", "jwks_uri": "keys"}
                known = {name: f"{self.url}/oauth/{place}" for name, place in places.items()}
                return Answer.json({"issuer": self.url, "id_token_signing_alg_values_supported": ["RS256"], **known})
            case "GET", "/oauth/keys":
                return Answer.json({"keys": [self._key.as_dict(private=False)]})
            case "GET", "/oauth/authorize":
                code = secrets.token_hex(8)
                self.codes[code] = {"nonce": said["nonce"], "user": self.user, "redirect_uri": said["redirect_uri"]}
                joint = "&" if "?" in said["redirect_uri"] else "?"
                back = f"{said['redirect_uri']}{joint}{urlencode({'code': code, 'state': said['state']})}"
                return Answer(status=302, headers={"Location": back})
            case "POST", "/oauth/token":
                return self._token(said, authorization)
        raise HubError(404, f"no route for {method} {parts.path}")

    def _token(self, said: dict[str, str], authorization: str | None) -> Answer:
        proof = base64.b64encode(f"{self.client}:{self.secret}".encode()).decode()
        allowed = self.codes.pop(said.get("code", ""), None)
        if authorization != f"Basic {proof}":
            return Answer(b'{"error": "invalid_client"}', 401, {"Content-Type": "application/json"})
        if allowed is None or said.get("redirect_uri") != allowed["redirect_uri"]:
            return Answer(b'{"error": "invalid_grant"}', 400, {"Content-Type": "application/json"})
        now = int(time.time())
        claims = {"iss": self.url, "aud": self.client, "sub": allowed["user"], "iat": now, "exp": now + 3600}
        claims |= {"nonce": allowed["nonce"], "preferred_username": allowed["user"]}
        identity = jwt.encode({"alg": "RS256", "kid": "one"}, claims, self._key)
        token = {"access_token": f"hf_oauth_{secrets.token_hex(8)}", "token_type": "bearer", "scope": "openid profile"}
        return Answer.json({**token, "expires_in": self.lifetime, "id_token": identity})
