"""Forms with files, multipart/form-data: parsed in memory, nothing of them is written to the disk."""

from collections.abc import AsyncGenerator, Set

from fastapi import Request
from starlette.formparsers import MultiPartException, MultiPartParser

from zoo import gate
from zoo.gate.bodies import TooLarge
from zoo.rest.problem_details import Malformed

MOST_BYTES = 75_000_000  # of a form or of JSON: a picture of 50 MB as a data URI


async def read_form(
    request: Request, files: Set[str], fields: Set[str]
) -> tuple[dict[str, list[str]], dict[str, gate.Upload]]:
    """Return the fields and files of a form.

    Args:
        request: multipart/form-data.
        files: the names that may be files, each once.
        fields: the names that may be text.

    Raises:
        Malformed: it cannot be parsed, or has another name, or a file twice.
        TooLarge: it has more than `MOST_BYTES`.
    """
    parser = MultiPartParser(request.headers, _bounded(request), max_files=8, max_fields=40)
    parser.spool_max_size = MOST_BYTES
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


async def _bounded(request: Request) -> AsyncGenerator[bytes, None]:
    size = 0
    async for part in request.stream():
        size += len(part)
        if size > MOST_BYTES:
            raise TooLarge(f"A request has at most {MOST_BYTES:,} bytes.")
        yield part
