"""The route that takes uploads, in place of Gradio's: a file is stored only when it has arrived as a whole.

Gradio's leaves files of requests that are cut off, takes 1,000 of them at a time, and remembers each name that is asked
for the progress of an upload.
"""

import asyncio
import hashlib
import os
import re
import shutil
import tempfile
from pathlib import Path
from typing import IO
from urllib.parse import parse_qs

from anyio import to_thread
from gradio.routes import file_upload_statuses
from gradio_client.utils import strip_invalid_filename_characters
from starlette.datastructures import Headers, UploadFile
from starlette.formparsers import MultiPartException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse
from starlette.types import Receive, Scope

from zoo.errors import ZooError
from zoo.gate import Caller
from zoo.gate.multipart import Form
from zoo.gate.storage import MOST_FILES
from zoo.gate.traffic import Disconnected
from zoo.gate.uploads import UPLOADS

WATCHED = 60.0  # seconds for which the end of an upload can be asked about
ID = r"[\w-]{1,64}"  # the name of a session, an event or an upload


async def take(scope: Scope, receive: Receive, caller: Caller, folder: Path, largest: float) -> JSONResponse:
    """Store the files of a request; return the answer, a list of their paths.

    Args:
        scope: of the request.
        receive: its body, multipart/form-data with the files as "files".
        caller: whose they are.
        folder: where they are stored, each in a folder named by its content.
        largest: bytes of one file.

    Raises:
        ZooError: no files, too many, too large ones, or no room for them.
    """
    await to_thread.run_sync(UPLOADS.check_room, caller)
    request = Request(scope, receive)
    watch = upload_id(scope)
    if not re.match(r"multipart/form-data\s*;", request.headers.get("content-type", ""), re.IGNORECASE):
        raise ZooError('An upload is multipart/form-data with its files as "files".')
    parser = _Parser(request.headers, request.stream(), max_files=MOST_FILES, max_fields=MOST_FILES)
    parser.watch = watch
    try:
        form = await parser.parse()
    except MultiPartException as error:
        raise ZooError(f"This upload cannot be read: {error.message}") from None
    except ClientDisconnect:
        raise Disconnected() from None
    finally:
        if watch:
            file_upload_statuses.set_done(watch)
            asyncio.get_running_loop().call_later(WATCHED, forget, watch)
    try:
        files = [one for one in form.getlist("files") if isinstance(one, UploadFile)]
        if not files or len(files) < len(form.getlist("files")):
            raise ZooError('Each part "files" of an upload needs a file name.')
        for one in files:
            if (one.size or 0) > largest:
                raise ZooError(f"A file has at most {largest / 1e6:,.0f} MB.")
        paths = [await to_thread.run_sync(_stored, one.file, one.filename or "", folder) for one in files]
    except OSError:
        raise ZooError("There is no room for this upload now: try again later.") from None
    finally:
        await form.close()
    UPLOADS.note(paths, caller)
    return JSONResponse(paths)


def upload_id(scope: Scope) -> str:
    """Return the name of an upload that the query of a request gives, "" where it gives none.

    Raises:
        ZooError: it is no name.
    """
    (given, *_) = parse_qs(scope.get("query_string", b"").decode("latin-1")).get("upload_id", [""])
    if not re.fullmatch(f"({ID})?", given, re.ASCII):
        raise ZooError('"upload_id" must be at most 64 letters and digits.')
    return str(given)


def forget(watch: str) -> None:
    """Forget an upload that was watched; Gradio keeps the names that were asked for."""
    file_upload_statuses.stop_tracking(watch)
    file_upload_statuses._signals.pop(watch, None)


class _Parser(Form):
    """Reports the progress of an upload to who watches it."""

    watch = ""

    def __init__(self, headers: Headers, *args: object, **options: int) -> None:
        super().__init__(headers, *args, **options)  # type: ignore[arg-type]

    def on_part_data(self, data: bytes, start: int, end: int) -> None:
        super().on_part_data(data, start, end)
        if self.watch and self._current_part.file is not None:
            file_upload_statuses.append(self.watch, str(self._current_part.file.filename), data[start:end])


def _stored(file: IO[bytes], name: str, folder: Path) -> str:
    """Store a file by its content and its name; return its path."""
    content = hashlib.sha256()
    while part := file.read(1 << 20):
        content.update(part)
    file.seek(0)
    name = strip_invalid_filename_characters(Path(name.replace("\0", "")).name)
    place = folder / content.hexdigest() / (name if name.strip(". ") else "file")
    place.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.NamedTemporaryFile(dir=place.parent, delete=False) as copy:
        try:
            shutil.copyfileobj(file, copy, 1 << 20)
            copy.close()
            os.replace(copy.name, place)
        except BaseException:
            os.unlink(copy.name)
            raise
    return str(place)
