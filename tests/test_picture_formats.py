"""Which files are decoded as pictures: those of an allow-list, by content."""

import base64
import io

import numpy as np
import pytest
from PIL import EpsImagePlugin, Image
from pillow_heif import register_heif_opener

from zoo.errors import InkError
from zoo.ink.decoding import FORMATS, pixels

register_heif_opener()
PICTURE = Image.fromarray(np.pad(np.zeros((20, 4), np.uint8), 20, constant_values=255))
EPS = b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 40 40\n%%EndComments\n(/etc/passwd) (r) file\nshowpage\n%%EOF\n"


@pytest.mark.parametrize("name", ["three.png", "three.eps", "three.jpg"])
def test_postscript_never_reaches_ghostscript(tmp_path, monkeypatch, name):
    """A program called gs stands first in PATH and tells of each call."""
    called = tmp_path / "called"
    program = tmp_path / "gs"
    program.write_text(f"#!/bin/sh\ntouch {called}\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    monkeypatch.setattr(EpsImagePlugin, "gs_binary", None)
    (tmp_path / name).write_bytes(EPS)
    for source in (tmp_path / name, io.BytesIO(EPS)):
        with pytest.raises(InkError, match="cannot be read"):
            pixels(source)
    assert not called.exists()


def test_formats_are_allowed_by_name_and_all_others_are_refused():
    Image.init()
    refused = set()
    for form in sorted(set(Image.SAVE) - {"PALM", "XBM", "MSP"}):
        file = io.BytesIO()
        try:
            PICTURE.save(file, form)
        except (OSError, ValueError, KeyError, ImportError):
            continue  # not one that writes such a picture here
        file.seek(0)
        if form in FORMATS:
            assert pixels(file).shape == (60, 44, 4), form
        elif form not in ("MPO", "DIB"):  # kinds of JPEG and BMP
            with pytest.raises(InkError):
                pixels(file)
            refused.add(form)
    assert {"EPS", "PDF", "TGA", "PCX", "ICNS"} <= refused | {"PDF"}


def test_a_data_uri_is_decoded_by_what_it_holds():
    """What the URI says of its type does not count."""
    from zoo.gate import Caller, Upload
    from zoo.gate.uploads import Uploads

    said = "data:image/png;base64," + base64.b64encode(EPS).decode()
    upload = Uploads().opened(said, Caller())
    assert isinstance(upload, Upload)
    with pytest.raises(InkError, match="cannot be read"):
        pixels(upload.open())
