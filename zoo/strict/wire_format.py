"""Count the fields of a protocol buffer before it is parsed.

A field of two bytes becomes an object of a hundred bytes when parsed, so 40 MB of empty messages take gigabytes. This
scan reads only tags and lengths and stops at a limit, so its time and memory are bounded.
"""

from collections.abc import Iterator
from typing import Any

MOST_FIELDS = 300_000  # a network of 5,000 nodes has about 150,000
DEEPEST = 30  # messages within messages
Children = dict[int, Any]  # what a message holds of other messages, by number: again `Children`
VARINT, FIXED_64, BYTES, FIXED_32 = 0, 1, 2, 5  # wire types


class BadWireFormat(ValueError):
    """The bytes are not a protocol buffer, or one with too many fields; the message is part of a sentence."""


def scan(data: bytes, descriptor: Any) -> int:
    """Return the number of fields of a message, including nested messages.

    Args:
        data: the serialized message.
        descriptor: its type, for example `onnx.ModelProto.DESCRIPTOR`.

    Raises:
        BadWireFormat: it is cut off, has groups or more than MOST_FIELDS fields, or is nested more than DEEPEST deep.
    """
    try:
        return _scan(data, _children(descriptor, {}))
    except IndexError:
        raise BadWireFormat("ends in the middle") from None


def _children(descriptor: Any, known: dict[str, Children]) -> Children:
    """Return the fields of a message type that are messages themselves, by number."""
    if descriptor.full_name not in known:
        found = known[descriptor.full_name] = {}
        for field in descriptor.fields:
            if field.message_type is not None:
                found[field.number] = _children(field.message_type, known)
    return known[descriptor.full_name]


def _scan(data: bytes, children: Children) -> int:
    place, end, count = 0, len(data), 0
    outer: list[tuple[int, Children]] = []
    while True:
        if place >= end:
            if place > end:
                raise BadWireFormat("ends in the middle")
            if not outer:
                return count
            end, children = outer.pop()
            continue
        count += 1
        if count > MOST_FIELDS:
            raise BadWireFormat(f"has more than {MOST_FIELDS:,} fields")
        tag, place = _varint(data, place)
        kind = tag & 7
        if kind == VARINT:
            _, place = _varint(data, place)
        elif kind == BYTES:
            length, place = _varint(data, place)
            if place + length > end:
                raise BadWireFormat("ends in the middle")
            if (inner := children.get(tag >> 3)) is None:
                place += length
            else:
                outer.append((end, children))
                if len(outer) > DEEPEST:
                    raise BadWireFormat(f"is nested more than {DEEPEST} deep")
                end, children = place + length, inner
        elif kind == FIXED_32:
            place += 4
        elif kind == FIXED_64:
            place += 8
        else:
            raise BadWireFormat("has fields of an unknown kind")


def fields(data: bytes, packed: bool = False) -> Iterator[tuple[int, int, Any]]:
    """Yield number, wire type and value of the fields of a message: a whole number, or bytes.

    Args:
        data: the message.
        packed: it is whole numbers alone, without numbers of fields.

    Raises:
        BadWireFormat: as `scan`, which counts nested messages too.
    """
    place, end, count = 0, len(data), 0
    try:
        while place < end:
            count += 1
            if count > MOST_FIELDS:
                raise BadWireFormat(f"has more than {MOST_FIELDS:,} fields")
            tag, place = (VARINT, place) if packed else _varint(data, place)
            kind = tag & 7
            value: int | bytes
            if kind == VARINT:
                value, place = _varint(data, place)
            elif kind in (BYTES, FIXED_32, FIXED_64):
                length, place = _varint(data, place) if kind == BYTES else ({FIXED_32: 4, FIXED_64: 8}[kind], place)
                value, place = data[place : place + length], place + length
            else:
                raise BadWireFormat("has fields of an unknown kind")
            if not packed and not 0 < tag >> 3 < 2**29:
                raise BadWireFormat("has a field of no number")
            if place > end:
                raise BadWireFormat("ends in the middle")
            yield tag >> 3, kind, value
    except IndexError:
        raise BadWireFormat("ends in the middle") from None


def _varint(data: bytes, place: int) -> tuple[int, int]:
    """Return a number of at most ten bytes, and the place after it."""
    byte = data[place]
    if byte < 0x80:
        return byte, place + 1
    value, move = byte & 0x7F, 7
    for following in range(place + 1, place + 10):
        byte = data[following]
        value |= (byte & 0x7F) << move
        if byte < 0x80:
            return value, following + 1
        move += 7
    raise BadWireFormat("has a number of more than ten bytes")
