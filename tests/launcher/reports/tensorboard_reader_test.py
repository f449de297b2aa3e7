"""Reads our event files with TensorBoard itself. Usage: tensorboard_reader_test.py WRITE_EVENTS"""

import struct
import subprocess
import sys
import tempfile

from tensorboard.backend.event_processing.event_accumulator import EventAccumulator


def float32(value):
    return struct.unpack("f", struct.pack("f", value))[0]


def expected(offset_of, step):
    return {"loss": float32(offset_of(step) + 1 / step), "sent_bytes/reduce": float32(1e6 * step)}


def main():
    with tempfile.TemporaryDirectory() as folder:
        subprocess.run([sys.argv[1], folder], check=True)
        events = EventAccumulator(folder).Reload()
    assert events.file_version == 2.0, events.file_version
    assert sorted(events.Tags()["scalars"]) == ["loss", "sent_bytes/reduce"], events.Tags()
    for tag in ("loss", "sent_bytes/reduce"):
        points = [(point.step, point.value) for point in events.Scalars(tag)]
        # Steps 4 and 5 of the killed run are gone: the resumed run reports them again.
        wanted = [(s, expected(lambda step: 0 if step < 4 else 10, s)[tag]) for s in range(1, 7)]
        assert points == wanted, f"{tag}: {points} instead of {wanted}"
    print("TensorBoard reads every point of both runs")


main()
