"""Forms with files, multipart/form-data: their files are held in memory."""

from collections.abc import AsyncGenerator, Set
from typing import IO

from fastapi import Request
from starlette.datastructures import Headers
from starlette.formparsers import MultiPartException

from zoo import gate
from zoo.gate import bodies
from zoo.gate.multipart import Form
from zoo.rest.problem_details import Malformed, WrongMedia

PART = 1_000_000  # bytes that are read at a time
MOST_FORM = 75_000_000  # bytes of a form


def is_form(request: Request) -> bool:
    """Whether a request sends a form; WrongMedia if it sends neither that nor JSON."""
    media = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if media not in ("application/json", "multipart/form-data"):
        raise WrongMedia("Send multipart/form-data, or application/json.")
    return media == "multipart/form-data"


async def read_form(
    headers: Headers, body: IO[bytes], files: Set[str], fields: Set[str]
) -> tuple[dict[str, list[str]], dict[str, gate.Upload]]:
    """Return the fields and files of a form.

    Args:
        headers: of the request.
        body: multipart/form-data, at most `MOST_FORM`.
        files: the names that may be files, each once.
        fields: the names that may be text.

    Raises:
        Malformed: it cannot be parsed, or has another name, or a file twice.
    """
    parser = Form(headers, _parts(body), max_files=8, max_fields=40)
    parser.spool_max_size = MOST_FORM
    try:
        parsed = await parser.parse()
    except (MultiPartException, ValueError, KeyError, AttributeError) as error:
        raise Malformed(f"The form cannot be read: {str(error).rstrip('.')[:100]}.") from None
    texts: dict[str, list[str]] = {}
    uploads: dict[str, gate.Upload] = {}
    try:
        for name, value in parsed.multi_items():
            if isinstance(value, str) and name in fields:
                texts.setdefault(name, []).append(value)
            elif not isinstance(value, str) and name in files and name not in uploads:
                uploads[name] = gate.Upload(value.filename or "", await value.read())
            else:
                known = ", ".join([f"{one} (a file)" for one in sorted(files)] + sorted(fields))
                raise Malformed(f"A form has here {known}, each once; got {name[:40]!r}.")
    finally:
        await parsed.close()
    return texts, uploads


async def _parts(body: IO[bytes]) -> AsyncGenerator[bytes, None]:
    while part := await bodies.read(body, PART):
        yield part
