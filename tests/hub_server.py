"""A small Hub on loopback for the real client: repos, commits, LFS, ranges, Spaces, and faults on request.

    with Hub().serving() as hub:
        hub.tokens["hf_x"] = Account("me")
        hub.fail(Fault(status=500), on=r"POST /api/models/.*/commit/", times=2)

It speaks as much of the Hub's protocol as `huggingface_hub`, `datasets` and Keras use, and keeps everything in memory.
"""

import base64
import contextlib
import hashlib
import json
import re
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from urllib.parse import parse_qs, unquote, urlsplit

import yaml
from hub_http import Answer, Fault, Handler, HubError, Request, Server
from hub_repos import Blob, Repo

LFS_SUFFIXES = (".h5", ".onnx", ".parquet", ".png", ".keras")


@dataclass(frozen=True)
class Account:
    """Who a token belongs to, and whether it may write."""

    name: str
    role: str = "write"  # or "read"
    organisations: tuple[str, ...] = ()
    token: str = "access_token"  # its kind: one that the user made; "app_token_as_user" where an app got it
    type: str = "user"  # or "org", "app"


@dataclass(frozen=True)
class Call:
    """A request as the routes see it."""

    groups: dict[str, str | None]
    query: dict[str, list[str]]
    body: bytes
    account: Account | None

    @property
    def json(self):
        return json.loads(self.body)


class Hub:
    """The server's state and its routes; thread-safe."""

    def __init__(self):
        self.repos: dict[tuple[str, str], Repo] = {}  # (type, "namespace/name")
        self.tokens: dict[str, Account] = {}
        self.log: list[Request] = []
        self.choose_fault: Callable[[str, str], Fault | None] = lambda method, path: None
        self.jobs: list[dict] = []  # as they were submitted
        self.machines: str | None = None  # where the port that a job exposes is reached, see `sandbox_machine`
        self._lfs: dict[str, bytes] = {}
        self._planned: list[list] = []  # [pattern, fault, times left]
        self._lock = threading.RLock()
        hub = self

        class OwnHandler(Handler):
            pass

        OwnHandler.hub = hub
        self._server = Server(("127.0.0.1", 0), OwnHandler)
        port = self._server.server_address[1]
        self.url = f"http://127.0.0.1:{port}"
        self.storage = f"http://localhost:{port}"  # large files have another host, which must not see the token

    @contextlib.contextmanager
    def serving(self) -> Iterator["Hub"]:
        """Answer requests in threads of this process until the block is left."""
        thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
        thread.start()
        try:
            yield self
        finally:
            self._server.shutdown()
            self._server.server_close()
            thread.join()

    # What tests say and ask

    def fail(self, fault: Fault, on: str, times: int = 1) -> None:
        """Let the next `times` requests whose "METHOD /path" matches the pattern go wrong."""
        with self._lock:
            self._planned.append([re.compile(on), fault, times])

    def heal(self) -> None:
        """Let no further request go wrong."""
        with self._lock:
            self._planned.clear()
            self.choose_fault = lambda method, path: None

    def reset(self) -> None:
        """Forget everything but the address."""
        with self._lock:
            self.heal()
            self.repos.clear()
            self.tokens.clear()
            self.log.clear()
            self.jobs.clear()
            self.machines = None
            self._lfs.clear()

    def repo(self, name: str, kind: str = "model") -> Repo:
        return self.repos[kind, name]

    @property
    def writes(self) -> list[Request]:
        """Requests that change something, or would."""
        return [r for r in self.log if r.method not in ("GET", "HEAD") and "/paths-info/" not in r.path]

    # What the handler asks

    def fault_for(self, method: str, path: str) -> Fault | None:
        with self._lock:
            for plan in self._planned:
                if plan[2] and plan[0].match(f"{method} {path}"):
                    plan[2] -= 1
                    return plan[1]
        return self.choose_fault(method, path)

    def account(self, authorization: str | None) -> Account | None:
        if authorization is None:
            return None
        token = authorization.removeprefix("Bearer ")
        if token not in self.tokens:
            raise HubError(401, "Invalid credentials in Authorization header")
        return self.tokens[token]

    def answer(self, method: str, target: str, body: bytes, account: Account | None) -> Answer:
        parts = urlsplit(target)
        for verb, pattern, route in self.ROUTES:
            if verb == method and (match := pattern.fullmatch(parts.path)):
                groups = {key: None if value is None else unquote(value) for key, value in match.groupdict().items()}
                with self._lock:
                    return route(self, Call(groups, parse_qs(parts.query), body, account))
        raise HubError(404, f"no route for {method} {parts.path}")

    # Routes

    def whoami(self, call: Call) -> Answer:
        if call.account is None:
            raise HubError(401, "Invalid username or password.")
        who = call.account
        organisations = [{"name": name, "type": "org"} for name in who.organisations]
        access = {"type": who.token, "accessToken": {"role": who.role, "displayName": "test"}}
        return Answer.json({"name": who.name, "type": who.type, "orgs": organisations, "auth": access})

    def run_job(self, call: Call) -> Answer:
        self._allow_writing(call, call.groups["owner"])
        owner = {"id": "0", "name": call.groups["owner"], "type": "user"}
        status = {"stage": "RUNNING", "exposeUrls": [self.machines] if self.machines else None}
        job = {**call.json, "id": f"{len(self.jobs):024x}", "owner": owner, "status": status}
        self.jobs.append(job)
        return Answer.json({key: value for key, value in job.items() if key != "secrets"})

    def job(self, call: Call) -> Answer:
        return Answer.json({key: value for key, value in self._job(call).items() if key != "secrets"})

    def _job(self, call: Call) -> dict:
        self._allow_writing(call, call.groups["owner"])
        return next(job for job in self.jobs if job["id"] == call.groups["id"])

    def cancel_job(self, call: Call) -> Answer:
        job = self._job(call)
        job["status"]["stage"] = "CANCELED"
        return Answer.json({})

    def create_repo(self, call: Call) -> Answer:
        wish = call.json
        kind = wish.get("type", "model")
        namespace = wish.get("organization") or (call.account.name if call.account else "?")
        self._allow_writing(call, namespace)
        name = f"{namespace}/{wish['name']}"
        if (kind, name) in self.repos:
            raise HubError(409, f"You already created this {kind} repo")
        repo = self.repos[kind, name] = Repo(
            private=wish.get("visibility") == "private" or bool(wish.get("private")),
            hardware=wish.get("hardware") or "cpu-basic",
        )
        repo.commit("initial commit", {".gitattributes": Blob(b"*.h5 filter=lfs\n", False)})
        prefix = "" if kind == "model" else f"{kind}s/"
        return Answer.json({"url": f"{self.url}/{prefix}{name}", "name": name, "id": name})

    def info(self, call: Call) -> Answer:
        repo = self._find(call)
        sha, _, tree = self._at(repo, call.groups.get("revision"))
        answer = {
            "id": call.groups["name"], "_id": "0", "sha": sha, "private": repo.private, "gated": False,
            "disabled": False, "downloads": 0, "likes": 0, "tags": [],
            "lastModified": "2026-01-01T00:00:00.000Z",
            "siblings": [{"rfilename": path, "size": len(blob.data)} for path, blob in tree.items()],
        }  # fmt: skip
        if repo.host:
            answer |= {"host": repo.host, "subdomain": call.groups["name"].replace("/", "-")}
        return Answer.json(answer)

    def refs(self, call: Call) -> Answer:
        main = {"name": "main", "ref": "refs/heads/main", "targetCommit": self._find(call).head}
        return Answer.json({"branches": [main], "tags": [], "converts": []})

    def tree(self, call: Call) -> Answer:
        folder = (call.groups.get("path") or "").strip("/")
        tree = self._at(self._find(call), call.groups["revision"])[2]
        inside = {path: blob for path, blob in tree.items() if not folder or path.startswith(f"{folder}/")}
        if folder and not inside:
            raise HubError(404, f"{folder} does not exist", "EntryNotFound")
        recursive = call.query.get("recursive", ["false"])[0].lower() in ("true", "1")
        entries, folders = [], set()
        for path, blob in sorted(inside.items()):
            below = path[len(folder) + 1 if folder else 0 :].split("/")
            depth = len(below) if recursive else 1
            parents = ["/".join([*([folder] if folder else []), *below[:n]]) for n in range(1, len(below))]
            folders.update(parents[:depth])
            if recursive or len(below) == 1:
                entries.append(self._entry(path, blob))
        return Answer.json([{"type": "directory", "path": p, "oid": "0" * 40, "size": 0} for p in folders] + entries)

    def paths_info(self, call: Call) -> Answer:
        tree = self._at(self._find(call), call.groups["revision"])[2]
        try:
            wanted = call.json["paths"]
        except ValueError:
            wanted = parse_qs(call.body.decode()).get("paths", [])
        found = []
        for path in wanted:
            if path in tree:
                found.append(self._entry(path, tree[path]))
            elif any(other.startswith(f"{path}/") for other in tree):
                found.append({"type": "directory", "path": path, "oid": "0" * 40, "size": 0})
        return Answer.json(found)

    def preupload(self, call: Call) -> Answer:
        repo = self._find(call, write=True)
        tree = self._at(repo, call.groups["revision"])[2]
        answers = []
        for file in call.json["files"]:
            lfs = file["path"].endswith(LFS_SUFFIXES) or file["size"] > 10_000_000
            there = tree.get(file["path"])
            oid = None if there is None else there.sha256 if there.lfs else there.oid
            mode = "lfs" if lfs else "regular"
            answers.append({"path": file["path"], "uploadMode": mode, "shouldIgnore": False, "oid": oid})
        return Answer.json({"files": answers})

    def lfs_batch(self, call: Call) -> Answer:
        self._find(call, write=True)
        objects = []
        for item in call.json["objects"]:
            answer = {"oid": item["oid"], "size": item["size"]}
            if item["oid"] not in self._lfs:
                upload = {"href": f"{self.storage}/lfs/{item['oid']}"}
                answer["actions"] = {"upload": upload, "verify": {"href": f"{self.url}/lfs-verify"}}
            objects.append(answer)
        return Answer.json({"transfer": "basic", "objects": objects})

    def lfs_put(self, call: Call) -> Answer:
        if hashlib.sha256(call.body).hexdigest() != call.groups["oid"]:
            raise HubError(400, "content does not match its oid")
        self._lfs[call.groups["oid"]] = call.body
        return Answer()

    def lfs_verify(self, call: Call) -> Answer:
        if call.json["oid"] not in self._lfs:
            raise HubError(404, "no such object")
        return Answer.json({})

    def commit(self, call: Call) -> Answer:
        repo = self._find(call, write=True)
        lines = [json.loads(line) for line in call.body.splitlines() if line]
        header = lines[0]["value"]
        if header.get("parentCommit") not in (None, repo.head):
            raise HubError(412, "A commit has happened since. Please refresh and try again.")
        tree = dict(repo.commits[-1][2])
        for line in lines[1:]:
            key, value = line["key"], line["value"]
            if key == "file":
                tree[value["path"]] = Blob(base64.b64decode(value["content"]), False)
            elif key == "lfsFile":
                if value["oid"] not in self._lfs:
                    raise HubError(400, f"LFS object {value['oid']} was never uploaded")
                tree[value["path"]] = Blob(self._lfs[value["oid"]], True)
            elif key == "deletedFile":
                if value["path"] not in tree:
                    raise HubError(404, "A file with this name doesn't exist", "EntryNotFound")
                del tree[value["path"]]
            else:
                raise HubError(400, f"unknown operation {key}")
        sha = repo.commit(header["summary"], tree)
        return Answer.json({"commitUrl": f"{self.url}/{call.groups['name']}/commit/{sha}", "commitOid": sha})

    def resolve(self, call: Call) -> Answer:
        repo = self._find(call)
        sha, _, tree = self._at(repo, call.groups["revision"])
        path = call.groups["path"]
        if path not in tree:
            raise HubError(404, f"{path} does not exist", "EntryNotFound")
        blob = tree[path]
        headers = {"X-Repo-Commit": sha, "ETag": f'"{blob.oid}"', "Accept-Ranges": "bytes"}
        if not blob.lfs:
            return Answer(blob.data, headers=headers)
        self._lfs[blob.sha256] = blob.data  # files that a test put there by hand
        linked = {"X-Linked-Etag": f'"{blob.sha256}"', "X-Linked-Size": str(len(blob.data))}
        return Answer(b"", 302, headers | linked | {"Location": f"{self.storage}/cdn/{blob.sha256}"})

    def cdn(self, call: Call) -> Answer:
        oid = call.groups["oid"]
        return Answer(self._lfs[oid], headers={"ETag": f'"{oid}"', "Accept-Ranges": "bytes"})

    def validate_yaml(self, call: Call) -> Answer:
        match = re.match(r"---\n(.*?)\n---\n", call.json["content"], re.DOTALL)
        try:
            data = yaml.safe_load(match[1]) if match else {}
        except yaml.YAMLError as error:
            raise HubError(400, str(error)) from error
        assert isinstance(data, dict)
        return Answer.json({"errors": [], "warnings": []})

    def space_setting(self, call: Call) -> Answer:
        repo = self._find(call, write=True)
        setting, wish = call.groups["setting"], call.json
        if setting == "hardware":
            repo.hardware = wish["flavor"]
            return self.runtime(call)
        getattr(repo, setting)[wish["key"]] = wish["value"]
        return self.variables(call)

    def variables(self, call: Call) -> Answer:
        variables = self._find(call).variables
        return Answer.json({key: {"key": key, "value": value} for key, value in variables.items()})

    def runtime(self, call: Call) -> Answer:
        repo = self._find(call)
        stage = repo.stage if len(repo.commits) > 1 else "NO_APP_FILE"
        hardware = {"current": repo.hardware, "requested": repo.hardware}
        return Answer.json({"stage": stage, "hardware": hardware, "gcTimeout": None})

    def restart(self, call: Call) -> Answer:
        self._find(call, write=True).stage = "RUNNING"
        return self.runtime(call)

    # Helpers

    def _allow_writing(self, call: Call, namespace: str) -> None:
        if call.account is None:
            raise HubError(401, "Invalid username or password.")
        if call.account.role == "read":
            raise HubError(403, "You have read access but not the required permissions for this operation")
        if namespace not in (call.account.name, *call.account.organisations):
            raise HubError(403, f"You don't have the rights to create a repo under the namespace {namespace!r}")

    def _find(self, call: Call, write: bool = False) -> Repo:
        kind = (call.groups.get("kind") or "models").rstrip("s")
        name = call.groups["name"]
        repo = self.repos.get((kind, name))
        known = repo is not None and not (repo.private and call.account is None)
        if not known:
            raise HubError(404 if call.account else 401, "Repository not found", "RepoNotFound")
        if write:
            self._allow_writing(call, name.partition("/")[0])
        return repo

    def _at(self, repo: Repo, revision: str | None) -> tuple[str, str, dict[str, Blob]]:
        if revision in (None, "main", "refs/heads/main"):
            return repo.commits[-1]
        for commit in repo.commits:
            if len(revision) >= 7 and commit[0].startswith(revision):
                return commit
        raise HubError(404, f"Invalid rev id: {revision}", "RevisionNotFound")

    def _entry(self, path: str, blob: Blob) -> dict:
        entry = {"type": "file", "path": path, "size": len(blob.data), "oid": blob.oid}
        if blob.lfs:
            entry["lfs"] = {"oid": blob.sha256, "size": len(blob.data), "pointerSize": len(blob.pointer)}
        return entry

    _API = r"/api/(?P<kind>models|datasets|spaces)/(?P<name>[^/]+/[^/]+)"
    ROUTES = tuple(
        (method, re.compile(pattern), route)
        for method, pattern, route in (
            ("GET", r"/api/whoami-v2", whoami),
            ("POST", r"/api/jobs/(?P<owner>[^/]+)", run_job),
            ("GET", r"/api/jobs/(?P<owner>[^/]+)/(?P<id>\w+)", job),
            ("POST", r"/api/jobs/(?P<owner>[^/]+)/(?P<id>\w+)/cancel", cancel_job),
            ("POST", r"/api/repos/create", create_repo),
            ("POST", r"/api/validate-yaml", validate_yaml),
            ("GET", _API, info),
            ("GET", _API + r"/revision/(?P<revision>[^/]+)", info),
            ("GET", _API + r"/refs", refs),
            ("GET", _API + r"/tree/(?P<revision>[^/]+)(?P<path>/.*)?", tree),
            ("POST", _API + r"/paths-info/(?P<revision>[^/]+)", paths_info),
            ("POST", _API + r"/preupload/(?P<revision>[^/]+)", preupload),
            ("POST", _API + r"/commit/(?P<revision>[^/]+)", commit),
            ("GET", _API + r"/runtime", runtime),
            ("GET", _API + r"/variables", variables),
            ("POST", _API + r"/restart", restart),
            ("POST", _API + r"/(?P<setting>secrets|variables|hardware)", space_setting),
            ("POST", r"/(?:(?P<kind>datasets|spaces)/)?(?P<name>[^/]+/[^/]+)\.git/info/lfs/objects/batch", lfs_batch),
            ("PUT", r"/lfs/(?P<oid>\w+)", lfs_put),
            ("POST", r"/lfs-verify", lfs_verify),
            ("GET", r"/cdn/(?P<oid>\w+)", cdn),
            (
                "GET",
                r"/(?:(?P<kind>datasets|spaces)/)?(?P<name>[^/]+/[^/]+)/resolve/(?P<revision>[^/]+)/(?P<path>.+)",
                resolve,
            ),
        )
    )
