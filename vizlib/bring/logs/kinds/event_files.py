"""TensorBoard's event files: a TFRecord for each Event, of which the scalars are read.

A record is its length (uint64), the masked CRC32C of that, the bytes, and their masked CRC32C
(tensorflow/core/lib/io/record_writer.cc). Of the protocol buffers event.proto, summary.proto and
tensor.proto only the fields that scalars need are looked at. Pictures, histograms and texts are
passed over and counted.
"""

from __future__ import annotations

import struct
from array import array
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from vizlib.bring.logs.content import Content
from vizlib.bring.logs.kinds import kind
from vizlib.bring.logs.positions import resumed
from vizlib.bring.logs.series import (
    MOST_METRICS,
    MOST_VALUES,
    SECONDS,
    STEP,
    Recorded,
    Series,
    some,
)
from vizlib.errors import UserError

HEADER, FOOTER = 12, 4
LARGEST_OF_SCALARS = 1 << 20  # bytes; longer records hold pictures, graphs, histograms
LONGEST_TAG = 1_000  # bytes
FEWEST_TOGETHER = 32  # records, from which on arrays are faster than a loop
VARINT, FIXED64, BYTES, FIXED32 = 0, 1, 2, 5  # wire types
SESSION_START = 1
# tensor.proto: DataType -> how one value is stored, and the field of a value that is written out
DTYPES = {1: "<f4", 2: "<f8", 3: "<i4", 9: "<i8", 19: "<f2"}
WRITTEN_OUT = {5: "<f4", 6: "<f8"}
PASSED_OVER = {3: "histogram", 4: "picture", 5: "histogram", 6: "sound"}
PLUGINS = {"images": "picture", "histograms": "histogram", "audio": "sound", "text": "text"}

Field = tuple[int, int, int, int]  # number, wire type, its value or where it begins, its end


@kind("a TensorBoard event file")
def read(content: Content) -> Recorded | None:
    data = content.data
    if len(data) < HEADER or not _is_length(data, 0):
        return None
    scalars = _Scalars()
    end = HEADER
    for start, end in records(data):
        if end - start <= LARGEST_OF_SCALARS:
            scalars.add_event(data, start, end)
        else:
            scalars.passed_over["other record"] += 1
        if len(scalars.values) >= MOST_VALUES:
            break
    recorded = scalars.recorded(data)
    recorded.remarks += _on_the_end(data, end + FOOTER, len(scalars.values))
    return recorded


def records(data: bytes) -> Iterator[tuple[int, int]]:
    """Where the content of each whole record begins and ends, up to the first whose length is
    damaged or that ends too early.
    """
    start = 0
    while start + HEADER <= len(data) and _is_length(data, start):
        (length,) = struct.unpack_from("<Q", data, start)
        end = start + HEADER + length
        if end + FOOTER > len(data):
            return
        yield start + HEADER, end
        start = end + FOOTER


def _on_the_end(data: bytes, end: int, count: int) -> list[str]:
    """What there is to say where a file goes on behind its last whole record."""
    rest = len(data) - end
    if count >= MOST_VALUES:
        return [f"It is long: its first {MOST_VALUES:,} values are read."]
    if rest <= 0:
        return []
    if rest < HEADER or _is_length(data, end):
        return ["Its last record is not whole: it may still be written."]
    return [f"It is damaged {end:,} bytes after its start: the {rest:,} that follow are not read."]


# CRC32C, polynomial 0x1EDC6F41 reflected


def _table() -> np.ndarray:
    table = np.arange(256, dtype=np.uint32)
    for _ in range(8):
        table = np.where(table & 1, (table >> 1) ^ np.uint32(0x82F63B78), table >> 1)
    return table.astype(np.uint32)


TABLE = _table()
_AS_LIST = TABLE.tolist()


def _masked(crc: Any) -> Any:
    """As it is stored: a whole number, or an array of them."""
    return (((crc >> 15) | (crc << 17)) + 0xA282EAD8) & 0xFFFFFFFF


def _is_length(data: bytes, start: int) -> bool:
    """Whether a record's length, at `start`, agrees with its checksum."""
    return _is_whole(data, start, start + 8)


def _is_whole(data: bytes, start: int, end: int) -> bool:
    """Whether bytes agree with the checksum behind them."""
    crc = 0xFFFFFFFF
    for byte in data[start:end]:
        crc = _AS_LIST[(crc ^ byte) & 0xFF] ^ (crc >> 8)
    stored = int.from_bytes(data[end : end + FOOTER], "little")
    return _masked(crc ^ 0xFFFFFFFF) == stored


def _are_whole(data: bytes, starts: np.ndarray, ends: np.ndarray) -> np.ndarray:
    """The same of many records, bool (N,). Most scalars have one of a few lengths: those of one
    length are looked at side by side.
    """
    whole = np.zeros(len(starts), bool)
    lengths = ends - starts
    for length in np.unique(lengths):
        same = np.flatnonzero(lengths == length)
        if len(same) < FEWEST_TOGETHER:
            whole[same] = [_is_whole(data, starts[index], ends[index]) for index in same]
        else:
            whole[same] = _are_whole_together(data, starts[same], length)
    return whole


def _are_whole_together(data: bytes, starts: np.ndarray, length: int) -> np.ndarray:
    """Of records of one length, byte by byte of all."""
    content = np.frombuffer(data, np.uint8)
    crc = np.full(len(starts), 0xFFFFFFFF, np.uint32)
    for offset in range(length):
        crc = TABLE[(crc ^ content[starts + offset]) & 0xFF] ^ (crc >> np.uint32(8))
    masked = _masked((crc ^ np.uint32(0xFFFFFFFF)).astype(np.int64))
    behind = content[(starts + length)[:, None] + np.arange(FOOTER)].astype(np.int64)
    return masked == (behind << np.array([0, 8, 16, 24])).sum(axis=1)


# Protocol buffers


class _Torn(Exception):
    """A message that ends within a field, or has one that is none."""


def _varint(data: bytes, start: int, end: int) -> tuple[int, int]:
    """(An unsigned number, where it ends)."""
    value = shift = 0
    while start < end and shift < 70:
        byte = data[start]
        value |= (byte & 0x7F) << shift
        start, shift = start + 1, shift + 7
        if byte < 0x80:
            return value, start
    raise _Torn


def _fields(data: bytes, start: int, end: int) -> Iterator[Field]:
    """The fields of a message."""
    while start < end:
        key, start = _varint(data, start, end)
        wire = key & 7
        if wire == VARINT:
            value, start = _varint(data, start, end)
            yield key >> 3, wire, value, start
            continue
        if wire == BYTES:
            length, start = _varint(data, start, end)
        else:
            length = {FIXED64: 8, FIXED32: 4}.get(wire, end)
        if start + length > end:
            raise _Torn
        yield key >> 3, wire, start, start + length
        start += length


@dataclass
class _Scalars:
    """All scalars of a file: of each value the number of its tag, its step, time and record."""

    tags: dict[str, int] = field(default_factory=dict)
    values: array = field(default_factory=lambda: array("d"))
    numbers: array = field(default_factory=lambda: array("q"))
    steps: array = field(default_factory=lambda: array("d"))
    times: array = field(default_factory=lambda: array("d"))
    starts: array = field(default_factory=lambda: array("q"))
    ends: array = field(default_factory=lambda: array("q"))
    plugins: dict[str, str] = field(default_factory=dict)  # of tags: said with the first value only
    passed_over: Counter[str] = field(default_factory=Counter)
    restarts: list[tuple[int, float]] = field(default_factory=list)  # (after how many values, step)

    def add_event(self, data: bytes, start: int, end: int) -> None:
        time = step = 0.0
        summaries = []
        try:
            for number, wire, value, stop in _fields(data, start, end):
                if number == 1 and wire == FIXED64:
                    (time,) = struct.unpack_from("<d", data, value)
                elif number == 2 and wire == VARINT:
                    step = float(value - (value >> 63 << 64))  # int64
                elif number == 5 and wire == BYTES:
                    summaries.append((value, stop))
                elif number == 7 and wire == BYTES and _is_start(data, value, stop):
                    self.restarts.append((len(self.values), step))
            for summary in summaries:
                for number, wire, value, stop in _fields(data, *summary):
                    if number == 1 and wire == BYTES:
                        self._add_value(data, (value, stop), (step, time), (start, end))
        except _Torn:
            self.passed_over["broken record"] += 1

    def _add_value(
        self,
        data: bytes,
        message: tuple[int, int],
        moment: tuple[float, float],
        record: tuple[int, int],
    ) -> None:
        tag, value = self._scalar(data, *message)
        if value is None:
            return
        if tag not in self.tags and len(self.tags) >= MOST_METRICS:
            raise UserError(
                f"This log has more than {MOST_METRICS:,} metrics: that many cannot be read."
            )
        self.values.append(value)
        self.numbers.append(self.tags.setdefault(tag, len(self.tags)))
        for columns, pair in (
            ((self.steps, self.times), moment),
            ((self.starts, self.ends), record),
        ):
            columns[0].append(pair[0])
            columns[1].append(pair[1])

    def _scalar(self, data: bytes, start: int, end: int) -> tuple[str, float | None]:
        """(tag, value) of a Summary.Value, None where it is no scalar."""
        tag, value, tensor, other = "", None, None, ""
        for number, wire, begin, stop in _fields(data, start, end):
            if number == 1 and wire == BYTES:
                tag = data[begin : min(stop, begin + LONGEST_TAG)].decode("utf-8", "replace")
            elif number == 2 and wire == FIXED32:
                (value,) = struct.unpack_from("<f", data, begin)
            elif number == 8 and wire == BYTES:
                tensor = begin, stop
            elif number == 9 and wire == BYTES:
                self.plugins.setdefault(tag, _plugin(data, begin, stop))
            elif number in PASSED_OVER:
                other = PASSED_OVER[number]
        plugin = self.plugins.get(tag, "")
        if tensor and plugin in ("", "scalars"):
            value = _single(data, *tensor)
        if value is None:
            self.passed_over[other or PLUGINS.get(plugin, "other value")] += 1
        return tag, value

    def recorded(self, data: bytes) -> Recorded:
        """The series of all tags, of the records whose checksum agrees."""
        whole = _are_whole(data, np.array(self.starts), np.array(self.ends))
        values, steps = np.array(self.values), np.array(self.steps)
        undone = whole & _is_undone(steps, self.restarts)
        numbers = np.array(self.numbers)
        times = np.array(self.times)
        positions = {STEP: steps, SECONDS: np.where(np.isfinite(times), times, np.nan)}
        everything = Series(values, positions)
        series = {
            tag: everything.take((numbers == number) & whole & ~undone)
            for tag, number in self.tags.items()
        }
        counts = (some(count, word) for word, count in self.passed_over.most_common())
        remarks = [f"Passed over: {', '.join(counts)}."] if self.passed_over else []
        if not whole.all():
            remarks.append(f"Damaged, and left out: {some(int((~whole).sum()), 'value')}.")
        if undone.any():
            remarks.append(resumed(int(undone.sum())))
        return Recorded(
            {tag: found for tag, found in series.items() if len(found)},
            remarks,
            [step for _, step in self.restarts],
            is_of_folder=True,
        )


def _is_undone(steps: np.ndarray, restarts: list[tuple[int, float]]) -> np.ndarray:
    """Which values a later start undoes: those from its step on that came before it, bool (N,)."""
    least = np.full(len(steps) + 1, np.inf)
    for count, step in restarts:
        least[count] = min(least[count], step)
    return steps >= np.minimum.accumulate(least[::-1])[::-1][1:]


def _is_start(data: bytes, start: int, end: int) -> bool:
    """Whether a SessionLog says that a training starts."""
    return any(
        number == 1 and wire == VARINT and value == SESSION_START
        for number, wire, value, _ in _fields(data, start, end)
    )


def _plugin(data: bytes, start: int, end: int) -> str:
    """The plugin's name in a SummaryMetadata."""
    for number, wire, begin, stop in _fields(data, start, end):
        if number == 1 and wire == BYTES:
            for inner, inner_wire, name, name_end in _fields(data, begin, stop):
                if inner == 1 and inner_wire == BYTES:
                    return data[name : min(name_end, name + 40)].decode("utf-8", "replace")
    return ""


def _single(data: bytes, start: int, end: int) -> float | None:
    """The value of a TensorProto of one number, None for any other."""
    dtype = ""
    stored, written = b"", None
    for number, wire, value, stop in _fields(data, start, end):
        if number == 1 and wire == VARINT:
            dtype = DTYPES.get(value, "")
        elif number == 4 and wire == BYTES:
            stored = data[value:stop]
        elif number in WRITTEN_OUT and wire in (BYTES, FIXED32, FIXED64):
            written = np.dtype(WRITTEN_OUT[number]), data[value:stop]
    if written and len(written[1]) == written[0].itemsize:
        return float(np.frombuffer(written[1], written[0])[0])
    if dtype and len(stored) == np.dtype(dtype).itemsize:
        return float(np.frombuffer(stored, dtype)[0])
    return None
