"""The sign-in of a Space, from the button to the way out, with a Hub on loopback; and what an attacker tries on it."""

import base64
import hashlib
import json
import re
import secrets
import ssl
import time
from http.cookies import SimpleCookie
from types import SimpleNamespace
from urllib.parse import parse_qs, urlencode, urljoin, urlsplit

import anyio
import httpx
import itsdangerous
import pytest
from hub_openid import Provider
from hub_server import Account
from networks import onnx_file
from space import PATIENCE, serve

from leaderboard.submissions.store import LocalStore
from zoo.gate import callers
from zoo.tabs import signing_in

NOBODY = "Sign in with Hugging Face"


@pytest.fixture(scope="module")
def provider():
    with Provider("the-space", "a secret").serving() as made:
        yield made


@pytest.fixture(scope="module")
def space(provider, tmp_path_factory):
    """The address of a Space with sign-in, and its store."""
    store = LocalStore(tmp_path_factory.mktemp("store"))
    settings = {
        "SYSTEM": "spaces",
        "SPACE_ID": "me/handwriting-zoo",
        "OAUTH_CLIENT_ID": provider.client,
        "OAUTH_CLIENT_SECRET": provider.secret,
        "OAUTH_SCOPES": "openid profile",
        "OPENID_PROVIDER_URL": provider.url,
        "ZOO_SUBMISSIONS": str(store.root),
    }
    with serve(**settings) as running:
        yield running.url, store


class Browser:
    """Follows redirects by hand, and keeps the session's cookie, which over HTTP a real one would do on localhost."""

    def __init__(self, url: str, session: str | None = None):
        self.url, self.session, self.last = url, session, None
        self.address = {"X-Forwarded-For": f"8.8.4.{secrets.randbelow(250)}"}  # as the platform's proxy would say

    def get(self, address: str) -> httpx.Response:
        """Ask the Space, or the Hub, which gets no cookie of the Space."""
        whole = urljoin(self.url, address)
        own = whole.startswith(f"{self.url}/")
        headers = self.address | ({"Cookie": f"session={self.session}"} if own and self.session else {})
        answer = httpx.get(whole, headers=headers, timeout=PATIENCE)
        if own and (cookie := SimpleCookie(answer.headers.get("set-cookie", "")).get("session")):
            self.session, self.last = cookie.value if cookie["max-age"] != "0" else None, cookie
        return answer

    def to_callback(self, target: str = "/?tab=submit") -> str:
        """Press the button and allow everything on the Hub; return where the Hub sends the browser."""
        hub = self.get(f"/login/huggingface?{urlencode({'_target_url': target})}").headers["location"]
        return self.get(hub).headers["location"]

    def sign_in(self, target: str = "/?tab=submit") -> str:
        """Do the whole of it; return where the browser ends."""
        return self.get(self.to_callback(target)).headers["location"]

    def submits(self, seed: int = 0, **headers: str) -> str:
        """Return what the Space says to a submission; its form claims to be from eve."""
        call, session = f"{self.url}/gradio_api/call/submit", {"Cookie": f"session={self.session}"}
        file = "data:;base64," + base64.b64encode(onnx_file(seed=seed)).decode()
        values = ["net", ["optdigits"], "mit", "x", file, "", "", {}, "eve", ""]
        sent = headers | (session if self.session else {})
        event = httpx.post(call, json={"data": values}, headers=sent, timeout=PATIENCE).json()["event_id"]
        return httpx.get(f"{call}/{event}", headers=sent, timeout=PATIENCE).text


@pytest.fixture
def browser(space):
    return Browser(space[0])


def receipt(answer: str) -> dict:
    return json.loads(re.search(r"^data: (.*)$", answer, re.MULTILINE)[1])[0]


def test_a_visitor_signs_in_submits_and_signs_out(browser, provider, space):
    provider.user = "ann"
    assert NOBODY in browser.submits()
    assert browser.sign_in() == "/?tab=submit"
    assert browser.last["httponly"]
    assert browser.last["secure"]
    mine = receipt(browser.submits())
    assert (mine["user"], mine["status"]) == ("ann", "PENDING")
    assert "secret" not in mine
    assert [s.user for s in space[1].all()] == ["ann"]
    copied = Browser(space[0], browser.session)
    assert browser.get("/logout").headers["location"] == "/"
    assert NOBODY in browser.submits(1)
    assert NOBODY in copied.submits(1)  # a cookie that somebody copied before ends with it
    provider.user = "bob"
    browser.sign_in()
    assert receipt(browser.submits(2))["user"] == "bob"
    browser.get("/logout?_target_url=/?tab=read")


def test_a_forged_state_signs_in_nobody(browser, provider, space):
    """Neither made up nor another browser's: so nobody can sign a visitor in as somebody else."""
    provider.user = "eve"
    of_eve = Browser(space[0]).to_callback()
    made_up = re.sub(r"state=[^&]+", "state=made-up", browser.to_callback())
    for callback in (of_eve, made_up, f"{space[0]}/login/callback", f"{space[0]}/login/callback?code=x&state="):
        answer = browser.get(callback)
        assert answer.headers["location"].startswith("/login/huggingface?")
        assert NOBODY in browser.submits()


def test_a_code_is_good_for_one_sign_in(browser, provider, space):
    provider.user = "ann"
    callback = browser.to_callback()
    browser.get(callback)
    assert browser.get(callback).headers["location"].startswith("/login/huggingface?")  # its state is used up
    assert receipt(browser.submits(3))["user"] == "ann"
    eve = Browser(space[0])
    code = parse_qs(urlsplit(callback).query)["code"][0]
    stolen = re.sub(r"code=[^&]+", f"code={code}", eve.to_callback())
    answer = eve.get(stolen)
    assert answer.status_code >= 400
    assert "Signing in with Hugging Face did not work" in answer.text
    assert NOBODY in eve.submits()


@pytest.mark.parametrize(
    "extra", ["error=access_denied&state={}", "code=x&state={}&_nb_redirects=many", "code=a&code=b&state={}"]
)
def test_a_callback_that_went_wrong_is_one_sentence(browser, extra):
    state = parse_qs(urlsplit(browser.to_callback()).query)["state"][0]
    for address in (f"/login/callback?{extra.format(state)}", f"/login/callback?{extra.format('none')}"):
        answer = browser.get(address)
        if answer.status_code >= 400:
            assert "Signing in with Hugging Face did not work" in answer.text
            assert "Traceback" not in answer.text
        assert NOBODY in browser.submits()


FOREIGN = ("https://evil.example/x", "//evil.example", "////evil.example", "/\\evil.example", "\\\\evil.example",
           "https:evil.example", "https:/evil.example", "javascript:alert(1)", "/\t/evil.example", "\t//evil.example",
           "/%09/evil.example", " //evil.example", "http://evil.example@127.0.0.1\\x")  # fmt: skip


def test_no_redirect_leaves_the_space(browser, provider):
    for target in FOREIGN:
        for address in (f"/logout?{urlencode({'_target_url': target})}", browser.to_callback(target)):
            found = browser.get(address).headers["location"]
            as_browsers_do = re.sub(r"[\t\r\n]", "", found.strip()).replace("\\", "/")
            host = urlsplit(urljoin(browser.url, as_browsers_do)).netloc
            assert host == urlsplit(browser.url).netloc, (target, found)


def signed(info: object, secret: bytes) -> str:
    key = hashlib.sha256(secret).hexdigest()
    content = base64.b64encode(json.dumps({"oauth_info": info}).encode())
    return itsdangerous.TimestampSigner(key).sign(content).decode()


def test_only_a_cookie_that_the_space_signed_and_that_still_lasts_counts(browser, provider, space):
    info = {"userinfo": {"preferred_username": "ann"}, "expires_at": 4e9}
    provider.user = "ann"
    browser.sign_in()
    content, *signature = browser.session.split(".")
    altered = base64.b64encode(base64.b64decode(content).replace(b'"ann"', b'"eve"')).decode()
    forged = [signed(info, secret) for secret in (b"-v4", b"another-v4", b"", b"a secret")]
    forged += [".".join((altered, *signature)), content, "", "x" * 5000, f"{browser.session}x"]
    for session in forged:
        assert NOBODY in Browser(space[0], session).submits()
    for odd in ([], "ann", {"userinfo": "ann", "expires_at": 4e9}, {**info, "expires_at": None}):
        assert NOBODY in Browser(space[0], signed(odd, b"a secret-v4")).submits()
    assert receipt(Browser(space[0], signed(info, b"a secret-v4")).submits(4))["user"] == "ann"
    provider.lifetime = -1
    try:
        over = Browser(space[0])
        over.sign_in()
        assert NOBODY in over.submits()
    finally:
        provider.lifetime = 3600


OTHER_SITE = (
    {"Origin": "https://evil.example", "Sec-Fetch-Site": "cross-site"},
    {"Origin": "https://evil.example"},  # an older browser
    {"Origin": "null", "Sec-Fetch-Site": "cross-site"},
    {"Sec-Fetch-Site": "same-site"},  # another Space
    {"Sec-Fetch-Site": "cross-site"},  # an image
)


def test_a_page_of_another_site_neither_knows_nor_signs_out_who_visits_it(browser, provider):
    provider.user = "ann"
    browser.sign_in()
    assert "Logout (ann)" in named(browser)
    for headers in OTHER_SITE:
        assert "Logout" not in named(browser, **headers), headers
        sent = headers | {"Cookie": f"session={browser.session}"}
        for way in ("/logout", "/login/huggingface", "/", "/config", "/login/callback?code=x&state=y"):
            answer = httpx.get(f"{browser.url}{way}", headers=sent, timeout=PATIENCE)
            assert "session=null" not in (kept := answer.headers.get("set-cookie", "")), (way, headers)
            assert "_state" not in kept or way == "/login/callback", (way, headers)
            assert way != "/login/huggingface" or answer.status_code == 400
    assert "Logout (ann)" in named(browser, Origin=browser.url, **{"Sec-Fetch-Site": "same-origin"})
    copied = Browser(browser.url, browser.session)
    browser.get("/logout")
    assert "Logout" not in named(copied)


def named(browser: Browser, **headers: str) -> str:
    """Return what the button of the sign-in is told when the page opens: whom the session belongs to."""
    headers |= {"Cookie": f"session={browser.session}"}
    page = httpx.get(f"{browser.url}/config", timeout=PATIENCE).json()
    button = next(one["id"] for one in page["components"] if "logout_value" in one["props"])
    number = next(one["id"] for one in page["dependencies"] if one["outputs"] == [button] and one["backend_fn"])
    session = secrets.token_hex(8)
    call, answer = f"{browser.url}/gradio_api/queue/join", f"{browser.url}/gradio_api/queue/data"
    body = {"data": [], "fn_index": number, "session_hash": session}
    httpx.post(call, json=body, headers=headers, timeout=PATIENCE).raise_for_status()
    return httpx.get(answer, params={"session_hash": session}, headers=headers, timeout=PATIENCE).text


COOKIES = {
    "quoted": 'a="' + "\\" * 14_000 + '"',
    "session": 'session="' + "\\" * 14_000 + '"',
    "octal": 'a="' + "\\073" * 3_500 + '"; session=x',
    "many": "; ".join(["a=1"] * 2_900),
}


@pytest.mark.parametrize("path", ["/healthz", "/", "/api/v1/models"])
def test_a_cookie_is_not_parsed_unless_it_is_the_sessions(space, path):
    """To parse one of 60 kB takes 10 s and stops the server, where Python is older than 3.11.10."""
    httpx.get(f"{space[0]}{path}", timeout=PATIENCE)
    for cookie in COOKIES.values():
        assert httpx.get(f"{space[0]}{path}", headers={"Cookie": cookie}, timeout=8).status_code == 200


@pytest.mark.parametrize(
    ("sent", "kept"),
    [
        ("session=eyJhIjoxfQ==.aRc.x-_; other=1", "session=eyJhIjoxfQ==.aRc.x-_"),
        ("other=1;session=abc", "session=abc"),
        ('session="abc"', None),
        ("session=" + "a" * 5000, None),
        ("other=session=abc", None),
        (";" * 15_900 + "session=abc", "session=abc"),
        ("session=" * 1_900, None),
        (";session=a!" * 1_400 + "; session=abc", "session=abc"),
    ],
)
def test_of_cookies_one_is_kept(monkeypatch, sent, kept):
    fields = [(b"host", b"a.hf.space"), (b"cookie", sent.encode())]
    assert dict(callers.own_cookies(fields, "/")).get(b"cookie") is None  # off a Space nobody signs in
    monkeypatch.setenv("SYSTEM", "spaces")
    monkeypatch.setenv("SPACE_ID", "me/zoo")
    started = time.process_time()
    assert dict(callers.own_cookies(fields, "/")).get(b"cookie") == (kept.encode() if kept else None)
    assert time.process_time() - started < 0.005  # in the event loop
    from_the_hub = [*fields, (b"sec-fetch-site", b"cross-site")]
    assert dict(callers.own_cookies(from_the_hub, "/")).get(b"cookie") is None
    assert dict(callers.own_cookies(from_the_hub, "/login/callback")).get(b"cookie") == (kept and kept.encode())


def test_a_token_in_a_header_is_the_hubs_word_and_no_session(browser, provider, space, hub):
    hub.tokens["hf_OfBob"] = Account("bob", "read")
    provider.user = "ann"
    for sent in ("Bearer hf_OfNobody", "Bearer hf_oauth_made_up"):
        assert "does not accept the token" in browser.submits(Authorization=sent)
    browser.sign_in()
    for sent in (f"Bearer {browser.session}", f"Session {browser.session}", "Basic YW5uOng=", "Bearer"):
        assert NOBODY in Browser(space[0]).submits(Authorization=sent)
    of_bob = {"x-hf-authorization": "Bearer hf_OfBob"}
    assert receipt(Browser(space[0]).submits(5, **of_bob))["user"] == "bob"
    assert receipt(browser.submits(6, **of_bob))["user"] == "ann"  # who sits at the page


def test_what_is_remembered_of_sessions_that_ended_is_forgotten_in_time(monkeypatch):
    monkeypatch.setattr(callers, "_signed_out", {})
    for n in range(3):
        callers.sign_out({"session": {"oauth_info": {"expires_at": 100.0 + n, "n": n}}})
    assert callers._signed_out == {}  # they were over
    monkeypatch.setattr(callers.time, "time", lambda: 100.5)
    for info in ({"expires_at": 101.0}, {"expires_at": 102.0}, {"expires_at": "x"}, {}, None, []):
        callers.sign_out({"session": {"oauth_info": info}})
    assert len(callers._signed_out) == 2
    monkeypatch.setattr(callers.time, "time", lambda: 101.5)
    callers.sign_out({"session": {"oauth_info": {"expires_at": 103.0}}})
    assert sorted(callers._signed_out.values()) == [102.0, 103.0]


def test_sign_ins_load_no_certificates(provider, monkeypatch):
    """That takes 60 to 140 ms of the event loop, in which nobody else is answered."""
    starlette_client = pytest.importorskip("authlib.integrations.starlette_client")
    monkeypatch.setattr(starlette_client.StarletteOAuth2App, "client_cls", None)
    signing_in.load_certificates_once()
    registry = starlette_client.OAuth()
    registry.register(
        name="hub", client_id=provider.client, client_secret=provider.secret, client_kwargs={"scope": "openid"},
        server_metadata_url=f"{provider.url}/.well-known/openid-configuration",
    )  # fmt: skip
    signing_in._certificates()
    monkeypatch.setattr(ssl, "create_default_context", ssl.create_default_context.__wrapped__)
    loads = []
    monkeypatch.setattr(ssl.SSLContext, "load_verify_locations", lambda *a, **k: loads.append(a))

    async def all_ways():
        request = SimpleNamespace(session={}, scope={"method": "GET"}, query_params={})
        for _ in range(3):
            asked = await registry.hub.authorize_redirect(request, "http://zoo/login/callback")
            back = httpx.get(asked.headers["location"], timeout=PATIENCE, verify=False).headers["location"]
            request.query_params = {key: one[0] for key, one in parse_qs(urlsplit(back).query).items()}
            found = await registry.hub.authorize_access_token(request)
            await registry.hub.fetch_jwk_set(force=True)
        return found["userinfo"]["preferred_username"]

    assert anyio.run(all_ways) == provider.user
    assert loads == []


def test_the_log_says_not_where_a_visitor_who_signs_in_comes_from(monkeypatch, capsys):
    from gradio import oauth
    from starlette.requests import Request

    monkeypatch.setenv("SPACE_HOST", "me-zoo.hf.space")
    signing_in.log_no_addresses()
    scope = {"type": "http", "path": "/", "headers": [], "query_string": b"_target_url=/%3Fsubmission%3Dmine"}
    assert "submission%3Dmine" in oauth._generate_redirect_uri(Request(scope))
    assert capsys.readouterr() == ("", "")
