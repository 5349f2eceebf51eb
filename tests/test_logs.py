"""Logs from elsewhere: the numbers that the test wrote in each format are those that are read,
under what they are called, along what they lie; and what is no log is one sentence.
"""

import codecs
import csv
import io
import json
import math
import struct
import zipfile
from pathlib import Path

import numpy as np
import pytest
from streamlit.testing.v1 import AppTest

from tests.test_live_pages import fabricate
from tests.test_pages import fine, texts
from vizlib.bring.logs import files as log_files
from vizlib.bring.logs import logged as log_module
from vizlib.bring.logs import read_bytes, read_path
from vizlib.bring.logs import series as log_series
from vizlib.bring.logs.kinds import event_files
from vizlib.bring.logs.names import Role, role_of
from vizlib.command_line import main
from vizlib.displays.curves import CurvesDisplay
from vizlib.errors import UserError
from vizlib.run import folders

ROOT = Path(__file__).resolve().parent.parent
TIMEOUT = 60


def the_log(data, name="log"):
    """The one run in a file's bytes or text."""
    [log] = read_bytes(name, data.encode() if isinstance(data, str) else data).logs
    return log


def line(log, key, axis="epoch", part="epochs"):
    """[(position, value)] of what is drawn as a key."""
    return [(event.get(axis), event[key]) for event in getattr(log, part) if key in event]


def other(log, name, axis="epoch"):
    return [(event.get(axis), event["value"]) for event in log.other(name)]


# TensorBoard's event files, written here byte by byte


def crc32c(data):
    """Bit by bit, after the polynomial's definition."""
    crc = 0xFFFFFFFF
    for byte in data:
        crc ^= byte
        for _ in range(8):
            crc = (crc >> 1) ^ (0x82F63B78 if crc & 1 else 0)
    return crc ^ 0xFFFFFFFF


def masked(data):
    crc = crc32c(data)
    return struct.pack("<L", (((crc >> 15) | (crc << 17)) + 0xA282EAD8) & 0xFFFFFFFF)


def record(data):
    length = struct.pack("<Q", len(data))
    return length + masked(length) + data + masked(data)


def varint(value):
    value &= (1 << 64) - 1
    parts = []
    while value > 0x7F:
        parts.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes([*parts, value])


def message(number, content):
    content = content.encode() if isinstance(content, str) else content
    return varint(number << 3 | 2) + varint(len(content)) + content


def event(step, *values, wall=1_700_000_000.0):
    summary = b"".join(message(1, value) for value in values)
    moment = b"\x09" + struct.pack("<d", wall) + (b"\x10" + varint(step) if step else b"")
    return record(moment + (message(5, summary) if values else b""))


def simple(tag, value):
    return message(1, tag) + b"\x15" + struct.pack("<f", value)


def tensor(tag, content, plugin="scalars"):
    metadata = message(9, message(1, message(1, plugin))) if plugin else b""
    return message(1, tag) + metadata + message(8, content)


def start(step):
    """A SessionLog that says that a training starts."""
    return record(b"\x10" + varint(step) + message(7, b"\x08\x01"))


VERSION = record(b"\x09" + struct.pack("<d", 1_700_000_000.0) + message(3, "brain.Event:2"))
LOSSES = {0: 2.5, 300: 0.25, 70_000: 1.75}  # the best in the middle


def event_file(**given):
    return VERSION + b"".join(
        event(step, simple("val/loss", value), wall=1_700_000_000 + step / 8)
        for step, value in LOSSES.items()
    )


def test_the_checksum_is_that_of_its_definition():
    assert crc32c(b"123456789") == 0xE3069283  # RFC 3720, and every list of CRCs
    assert crc32c(bytes(32)) == 0x8A9136AA


def test_scalars_of_an_event_file_with_their_steps_and_times():
    log = the_log(event_file(), "events.out.tfevents.1")
    assert line(log, "val_loss", "step") == [*LOSSES.items()]
    assert line(log, "val_loss", "seconds") == [(step / 8, loss) for step, loss in LOSSES.items()]
    assert log.axes == ["step", "seconds"]
    assert (log.best["step"], log.chosen_by) == (300, "val_loss")
    assert log.remarks == []
    assert log.kind == "a TensorBoard event file"


@pytest.mark.parametrize(
    ("content", "value"),
    [
        (b"\x08\x01" + message(4, struct.pack("<f", 0.375)), 0.375),
        (b"\x08\x01" + message(2, b"") + message(5, struct.pack("<f", 0.375)), 0.375),
        (b"\x08\x01\x2d" + struct.pack("<f", 0.375), 0.375),  # written out, not packed
        (b"\x08\x02" + message(4, struct.pack("<d", 0.1)), 0.1),
        (b"\x08\x13" + message(4, struct.pack("<e", 0.375)), 0.375),
        (b"\x08\x09" + message(4, struct.pack("<q", -7)), -7),
    ],
)
def test_scalars_that_tensorflow_2_writes_as_tensors(content, value):
    log = the_log(
        VERSION + event(3, tensor("mine", content)) + event(4, tensor("mine", content, ""))
    )
    assert other(log, "mine", "step") == [(3, value), (4, value)]


def test_what_is_no_scalar_is_passed_over_and_counted(monkeypatch):
    monkeypatch.setattr(event_files, "LARGEST_OF_SCALARS", 500)
    many = b"\x08\x01" + message(4, struct.pack("<3f", 1, 2, 3))
    image, histogram = message(1, "i") + message(4, b"png"), message(1, "h") + message(5, b"")
    words = tensor("t", b"\x08\x07" + message(8, "words"), "text")
    big = record(message(4, bytes(501)))  # a graph
    data = event_file() + event(1, image, histogram, image, words) + event(2, tensor("m", many))
    log = the_log(data + big)
    assert list(log.metrics) == ["val/loss"]
    assert log.remarks == [
        "Passed over: 2 pictures, 1 histogram, 1 text, 1 other value, 1 other record."
    ]


def test_a_file_that_is_being_written_may_end_anywhere():
    """Cut at each of its bytes it has the records that are whole."""
    data = event_file()
    ends = [len(VERSION)]
    for step, value in LOSSES.items():
        ends.append(ends[-1] + len(event(step, simple("val/loss", value))))
    for cut in range(ends[1], len(data) + 1):
        log = the_log(data[:cut])
        assert len(line(log, "val_loss", "step")) == sum(end <= cut for end in ends[1:])
        assert (log.remarks == []) == (cut in ends)
        assert cut in ends or "not whole: it may still be written" in log.remarks[0]


def test_damaged_bytes_lose_one_value_or_the_rest_and_it_is_said():
    data = event_file()
    second = len(VERSION) + len(event(0, simple("val/loss", 1)))
    flipped = bytearray(data)
    flipped[second + 30] ^= 4
    log = the_log(bytes(flipped))
    assert line(log, "val_loss", "step") == [(0, 2.5), (70_000, 1.75)]
    assert log.remarks == ["Damaged, and left out: 1 value."]
    flipped = bytearray(data)
    flipped[second + 1] ^= 4  # of its length
    log = the_log(bytes(flipped))
    assert line(log, "val_loss", "step") == [(0, 2.5)]
    assert log.remarks[0].startswith(f"It is damaged {second} bytes after its start: the")


def test_many_records_of_one_length_are_checked_as_few_are():
    values = [simple("train/loss", 1 / (1 + step)) for step in range(1, 100)]
    parts = [event(step, value) for step, value in enumerate(values, 1)]
    broken = bytearray(parts[50])
    broken[-5] ^= 1
    log = the_log(VERSION + b"".join([*parts[:50], broken, *parts[51:]]))
    found = line(log, "train_loss", "step")
    assert [step for step, _ in found] == [step for step in range(1, 100) if step != 51]
    assert [value for _, value in found] == pytest.approx([1 / (1 + step) for step, _ in found])


def test_whatever_a_record_holds_nothing_breaks():
    """Random bytes in records that are whole, beside a value that is."""
    random = np.random.default_rng(3)
    for length in range(60):
        junk = record(random.integers(0, 256, length, np.uint8).tobytes())
        summary = record(message(5, random.integers(0, 256, length, np.uint8).tobytes()))
        log = the_log(VERSION + junk + summary + event(7, simple("loss", 3)))
        assert (7, 3) in line(log, "train_loss", "step")


@pytest.mark.parametrize("with_start", [True, False])
def test_a_resume_undoes_what_came_after_its_step(with_start):
    """Of all metrics if the file says that it starts anew; else of those that go back."""
    tags = ("train/loss", "val/loss")
    first = [event(step, *(simple(tag, step) for tag in tags)) for step in (10, 20, 30, 40)]
    again = [event(step, simple("train/loss", -step)) for step in (25, 35)]
    log = the_log(VERSION + b"".join([*first, start(25) * with_start, *again]))
    assert line(log, "train_loss", "step") == [(10, 10), (20, 20), (25, -25), (35, -35)]
    assert [step for step, _ in line(log, "val_loss", "step")] == (
        [10, 20] if with_start else [10, 20, 30, 40]
    )
    assert f"resumed: {4 if with_start else 2} values" in log.remarks[0]


def test_event_files_of_tensorboards_own_writer_read_as_tensorboard_reads_them(tmp_path):
    """Both files of a training that was resumed, with its purge; the reader is its own too."""
    event_accumulator = pytest.importorskip(
        "tensorboard.backend.event_processing.event_accumulator"
    )
    from torch.utils.tensorboard import SummaryWriter

    for purge_step, values in ((None, (4.0, 0.5, 3.0, 9.0)), (2, (2.5, 2.25))):
        writer = SummaryWriter(
            str(tmp_path / "run"),
            purge_step=purge_step,
            filename_suffix=f".{purge_step is not None}",
        )
        for step, value in enumerate(values, purge_step or 0):
            writer.add_scalar("val/loss", value, 10 * step)
            writer.add_scalar("mine", -value, 10 * step, new_style=True)
        writer.add_histogram("weights", np.arange(9.0), 3)
        writer.close()
    # file names begin with the second; of one second the suffix counts
    accumulator = event_accumulator.EventAccumulator(str(tmp_path / "run")).Reload()
    [log] = read_path(tmp_path / "run").logs
    expected = [(each.step, each.value) for each in accumulator.Scalars("val/loss")]
    assert line(log, "val_loss", "step") == expected
    assert len(expected) < 6
    assert [value for _, value in other(log, "mine", "step")] == [-value for _, value in expected]


# Folders and zips


def keras_files(above=""):
    """As Keras's callback writes them: a folder for each split, tags alike, epochs as steps."""
    return {
        f"{above}{split}/events.out.tfevents.9.host.v2": VERSION
        + b"".join(
            event(epoch, simple("epoch_loss", value), simple("epoch_accuracy", value / 4))
            for epoch, value in enumerate(values)
        )
        for split, values in (("train", (3.0, 2.0, 1.0)), ("validation", (3.5, 2.5, 2.75)))
    }


def written(folder, contents):
    for name, data in contents.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(data)
    return folder


def zipped(contents):
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in contents.items():
            archive.writestr(name, data)
    return file.getvalue()


def test_train_and_validation_folders_are_one_run(tmp_path):
    contents = keras_files("one/") | keras_files("two/") | {"two/notes.txt": b"Nothing."}
    of_folder = read_path(written(tmp_path / "logs", contents))
    of_zip = read_bytes(
        "logs.zip", zipped({f"logs/{name}": data for name, data in contents.items()})
    )
    for brought in (of_folder, of_zip):
        assert [log.name for log in brought.logs] == ["one", "two"]
        assert brought.remarks == ["1 other files are passed over."]
        for log in brought.logs:
            assert line(log, "train_loss") == [(0, 3), (1, 2), (2, 1)]
            assert line(log, "val_loss") == [(0, 3.5), (1, 2.5), (2, 2.75)]
            assert line(log, "val_accuracy") == [(0, 0.875), (1, 0.625), (2, 0.6875)]
            assert log.best["epoch"] == 0
    [alone] = read_path(written(tmp_path / "alone", keras_files())).logs
    assert alone.name == "alone"


def test_curves_of_add_scalars_are_parts_of_their_run(tmp_path):
    parts = {
        f"run/Train_vs_Test_Loss_{part}/events.1": VERSION
        + event(5, simple("Train vs/Test Loss", value))
        for part, value in (("Train", 1.5), ("Test", 2.5))
    }
    [log] = read_path(
        written(
            tmp_path,
            {"run/events.0": event_file()}
            | {
                name.replace("Train_vs_Test", "Train vs_Test"): data for name, data in parts.items()
            },
        )
    ).logs
    assert (log.name, line(log, "train_loss", "step")) == ("run", [(5, 1.5)])
    assert line(log, "test_loss", "step") == [(5, 2.5)]
    assert line(log, "val_loss", "step") == [*LOSSES.items()]


def test_a_second_file_of_a_folder_undoes_what_the_first_has_from_its_start_on(tmp_path):
    second = VERSION + start(300) + event(300, simple("val/loss", 9))
    written(tmp_path / "run", {"events.1": event_file(), "events.2": second})
    [log] = read_path(tmp_path / "run").logs
    assert line(log, "val_loss", "step") == [(0, 2.5), (300, 9)]


def test_bad_members_of_a_zip_are_left_out_and_said():
    good = {"run/metrics.csv": b"epoch,loss\n1,2.5\n2,0.5\n"}
    brought = read_bytes(
        "x.zip", zipped(good | {"../../events.1": event_file(), "more.zip": zipped(good)})
    )
    # the folder was zipped as a whole
    assert [log.name for log in brought.logs] == ["metrics.csv"]
    said = " ".join(brought.remarks)
    assert "its path leads out of the archive: '../../events.1'" in said
    assert "an archive inside the archive: 'more.zip'" in said


def test_a_zip_that_grows_is_not_unpacked(monkeypatch):
    monkeypatch.setattr(log_files, "MOST_UNPACKED", 400_000)
    rows = b"epoch,loss\n" + b"1,0.5\n" * 60_000
    brought = read_bytes("x.zip", zipped({"a.csv": rows, "b.csv": rows}))
    assert [log.name for log in brought.logs] == ["a.csv"]
    assert "is left out" in brought.remarks[0]


def test_a_folder_with_a_pipe_and_a_link_in_a_circle_is_read(tmp_path):
    import os

    written(tmp_path, {"log.csv": b"epoch,val_loss\n3,0.75\n", "big.bin": bytes(5000)})
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "circle").symlink_to(tmp_path)
    brought = read_path(tmp_path)
    assert [log.name for log in brought.logs] == ["log.csv"]
    assert "pipe cannot be read: it is no regular file." in " ".join(brought.remarks)


# Tables, JSON lines, states, histories: in each the best is in the middle

KERAS = "epoch,accuracy,loss,val_accuracy,val_loss\n0,0.5,2.5,0.25,3.5\n1,0.75,1.5,0.625,2.25\n"
KERAS += "2,0.875,1.25,0.5,2.75\n"
VAL = [(0, 0.25), (1, 0.625), (2, 0.5)]
TRAIN_LOSS = [(0, 2.5), (1, 1.5), (2, 1.25)]


def from_one(points):
    return [(epoch + 1, value) for epoch, value in points]


ROWS = list(
    zip((0.5, 0.75, 0.875), (2.5, 1.5, 1.25), (0.25, 0.625, 0.5), (3.5, 2.25, 2.75), strict=True)
)
BEARPAW = "Learning Rate\tTrain Loss\tValid Loss\tTrain Acc.\tValid Acc.\t\n" + "".join(
    f"0.100000\t{loss:.6f}\t{val_loss:.6f}\t{100 * accuracy:.6f}\t{100 * val:.6f}\t\n"
    for accuracy, loss, val, val_loss in ROWS
)
TIMM = "epoch,train_loss,eval_loss,eval_top1,eval_top5,lr\n" + "".join(
    f"{epoch},{loss},{val_loss},{100 * val},99.5,0.05\n"
    for epoch, (_, loss, val, val_loss) in enumerate(ROWS)
)
YOLO = (
    "   epoch,    train/loss,  metrics/accuracy_top1,  metrics/accuracy_top5,  val/loss, lr/pg0\n"
)
YOLO += "".join(
    f"  {epoch},  {loss},  {val},  0.99,  {val_loss},  0.05\n"
    for epoch, (_, loss, val, val_loss) in enumerate(ROWS)
)
FASTAI = "epoch,train_loss,valid_loss,accuracy,time\n" + "".join(
    f"{epoch},{loss},{val_loss},{val},00:1{epoch}\n"
    for epoch, (_, loss, val, val_loss) in enumerate(ROWS)
)
DEIT = "".join(
    json.dumps({"train_lr": 0.05, "train_loss": loss, "test_acc1": 100 * val, "epoch": epoch})
    + "\n"
    for epoch, (_, loss, val, _) in enumerate(ROWS)
)
NESTED = "".join(
    json.dumps({"epoch": epoch, "train": {"loss": loss}, "val": {"Acc@1": 100 * val, "Acc@5": 99}})
    + "\n"
    for epoch, (_, loss, val, _) in enumerate(ROWS)
)
HISTORY = json.dumps(
    dict(
        zip(("accuracy", "loss", "val_accuracy", "val_loss"), zip(*ROWS, strict=True), strict=True)
    )
)
IN_ROWS = json.dumps(
    [{"epoch": epoch, "loss": row[1], "val_acc": row[2]} for epoch, row in enumerate(ROWS)],
    indent=1,
)
WITHIN = json.dumps({"params": {"epochs": 3}, "history": json.loads(HISTORY)})


@pytest.mark.parametrize(
    ("text", "kind", "val_key", "first"),
    [
        (KERAS, "a table of figures", "val_accuracy", 0),
        (KERAS.replace(",", ";").replace(".", ","), "a table of figures", "val_accuracy", 0),
        (KERAS.replace(",", "\t"), "a table of figures", "val_accuracy", 0),
        (KERAS.replace(",", "  "), "a table of figures", "val_accuracy", 0),
        ("# " + KERAS.replace(",", " "), "a table of figures", "val_accuracy", 0),
        ("Training on cuda:0\n\n" + KERAS, "a table of figures", "val_accuracy", 0),
        (
            (
                '"epoch","loss","val_accuracy"\r\n"0","2.5","0.25"\r\n"1","1.5","0.625"\r\n'
                '"2","1.25","0.5"'
            ),
            "a table of figures",
            "val_accuracy",
            0,
        ),
        (
            KERAS.replace("0.625", "tensor(0.6250, device='cuda:0')").replace("'", ""),
            "a table of figures",
            "val_accuracy",
            0,
        ),
        (BEARPAW, "a table of figures", "val_accuracy", 1),
        (TIMM, "a table of figures", "val_accuracy", 0),
        (YOLO, "a table of figures", "val_accuracy", 0),
        (FASTAI, "a table of figures", "val_accuracy", 0),
        (DEIT, "a log of JSON lines", "test_accuracy", 0),
        (NESTED, "a log of JSON lines", "val_accuracy", 0),
        (HISTORY, "a history in JSON", "val_accuracy", 1),
        (WITHIN, "a history in JSON", "val_accuracy", 1),
        (IN_ROWS, "a history in JSON", "val_accuracy", 0),
    ],
)
def test_the_numbers_of_each_kind(text, kind, val_key, first):
    log = the_log(text)
    moved = from_one if first else list
    assert log.kind == kind
    assert line(log, "train_loss") == moved(TRAIN_LOSS)
    assert line(log, val_key) == moved(VAL)
    assert (log.best["epoch"], log.chosen_by) == (1 + first, val_key)
    assert any("lines are counted, from 1" in remark for remark in log.remarks) == bool(first)


@pytest.mark.parametrize(
    "data",
    [
        KERAS.encode("utf-16"),  # with its mark, as PowerShell redirects
        KERAS.encode("utf-16-le"),
        codecs.BOM_UTF8 + KERAS.replace("\n", "\r\n").encode(),
        KERAS.replace("loss", "verlust_ä").encode("latin-1"),
        KERAS.encode() + bytes(4000),  # a machine that crashed
        KERAS.encode() + b"epoch,accuracy,loss,val_accuracy,val_loss\n",  # begun again
    ],
)
def test_encodings_and_what_a_crash_leaves(data):
    assert line(the_log(data), "val_accuracy") == VAL


def test_lightnings_sparse_rows_keep_epochs_and_steps():
    log = the_log(
        "epoch,lr-Adam,step,train_loss_epoch,train_loss_step,val_acc,val_loss\n"
        ",0.05,0,,,,\n0,,49,,2.5,,\n0,,99,,0.5,,\n0,,99,,,0.75,1.25\n0,,99,1.75,,,\n"
        "1,,149,,1.5,,\n1,,199,,,0.5,\n1,,199,1.5,,,\n"
    )
    assert line(log, "train_loss", "step", "steps") == [(49, 2.5), (99, 0.5), (149, 1.5)]
    assert line(log, "train_loss", "epoch") == [(0, 1.75), (1, 1.5)]
    assert log.epochs[0] == {
        "epoch": 0, "step": 99, "val_accuracy": 0.75, "val_loss": 1.25, "train_loss": 1.75,
    }  # fmt: skip
    assert line(log, "learning_rate", "step", "steps") == [(0, 0.05)]
    assert (log.best["step"], log.axes) == (99, ["epoch", "step"])


def test_the_state_of_hugging_faces_trainer():
    history = [
        {"epoch": 0.5, "step": 10, "loss": 2.5, "learning_rate": 5e-5, "grad_norm": 1.5},
        {"epoch": 1.0, "step": 20, "eval_loss": 1.25, "eval_accuracy": 0.875, "eval_runtime": 3.5},
        {"epoch": 1.5, "step": 30, "loss": 0.5, "learning_rate": 4e-5, "grad_norm": 0.5},
        {"epoch": 2.0, "step": 40, "eval_loss": 1.5, "eval_accuracy": 0.75, "eval_runtime": 3.5},
        {"epoch": 2.0, "step": 40, "train_runtime": 90, "train_loss": 1.5, "total_flos": 1e9},
    ]
    log = the_log(json.dumps({"best_metric": 0.875, "log_history": history}, indent=2))
    assert log.kind == "a trainer_state.json of Hugging Face's Trainer"
    assert line(log, "train_loss", "step") == [(10, 2.5), (30, 0.5)]
    assert line(log, "val_accuracy") == [(1, 0.875), (2, 0.75)]
    assert line(log, "learning_rate", "step", "steps") == [(10, 5e-5), (30, 4e-5)]
    assert other(log, "grad_norm", "step") == [(10, 1.5), (30, 0.5)]
    assert (log.best["epoch"], log.best["step"]) == (1, 20)


def test_mmcvs_lines_whose_iterations_begin_anew():
    lines = [
        {"mode": "train", "epoch": 1, "iter": 50, "lr": 0.5, "loss": 2.5, "time": 0.25},
        {"mode": "train", "epoch": 1, "iter": 100, "lr": 0.5, "loss": 0.5, "time": 0.75},
        {"mode": "val", "epoch": 1, "iter": 20, "lr": 0.5, "accuracy_top-1": 75.0},
        {"mode": "train", "epoch": 2, "iter": 50, "lr": 0.5, "loss": 1.5, "time": 0.5},
        {"mode": "val", "epoch": 2, "iter": 20, "lr": 0.5, "accuracy_top-1": 62.5},
    ]
    text = '{"env_info": "CUDA"}\n' + "".join(json.dumps(each) + "\n" for each in lines)
    log = the_log(text + '{"mode": "train", "ep')  # torn: it goes on
    assert line(log, "train_loss") == [(0.5, 2.5), (1, 0.5), (1.5, 1.5)]
    assert line(log, "val_accuracy") == [(1, 0.75), (2, 0.625)]
    assert log.axes == ["epoch"]
    assert any("begin anew with each epoch" in remark for remark in log.remarks)


def test_the_events_of_a_run_of_ours_are_the_same_curves():
    folder = ROOT / "checkpoints/lenet"
    log = the_log((folder / "events.jsonl").read_bytes(), "events.jsonl")
    run = folders.open_run("lenet")
    for key in ("train_loss", "val_loss", "train_accuracy", "val_accuracy"):
        for axis in ("epoch", "step", "seconds"):
            assert line(log, key, axis) == [(row[axis], row[key]) for row in run.events_of("epoch")]
    steps = [(row["step"], row["train_loss"]) for row in run.events_of("step")]
    assert line(log, "train_loss", "step", "steps") == steps
    assert log.best["step"] == run.best["step"]


def test_a_line_that_is_no_json_is_left_out_and_counted():
    log = the_log('{"epoch": 1, "loss": 2.5}\nINFO saved\n{"epoch": 2, "loss": 0.5}\n')
    assert line(log, "train_loss") == [(1, 2.5), (2, 0.5)]
    assert log.remarks == ["No JSON, and left out: 1 line."]


# Names


NAMES = {
    Role("val", "accuracy"): """val_acc val/acc acc/val Valid.Acc. validation_accuracy valAcc valacc
        eval_accuracy test/val_acc val_acc1 val_top1 eval/Acc@1 val_Prec@1 Prec@1/val dev-acc
        metrics/accuracy_top1 epoch_val_accuracy val_sparse_categorical_accuracy
        val_acc/dataloader_idx_0""",
    Role("train", "accuracy"): """train_acc1 train/accuracy accuracy/train TrainAccuracy trainacc
        Training_accuracy""",
    Role("test", "accuracy"): "test/accuracy test_acc1 Test-Acc testAcc Accuracy/Test",
    Role("", "accuracy"): "accuracy acc Acc@1 top1 Prec@1 epoch_accuracy categorical_accuracy",
    Role("train", "loss"): """Loss/train train_loss training-loss loss/train trainLoss
        train_cross_entropy_loss""",
    Role("val", "loss"): "valid_loss eval_loss Val/Loss validation/epoch_loss val_ce_loss",
    Role("", "loss"): "loss total_loss epoch_loss running_loss nll cross_entropy",
    Role("train", "loss", True): "train_loss_step batch_train_loss",
    Role("val", "error"): "val_error val/err1 val_top1_error eval_error_rate",
    Role("", "learning_rate"): "lr learning_rate LearningRate lr-Adam/pg1 lr/pg0 train_lr x/lr0",
    None: """val_acc5 top5 Acc@5 val_f1 train/box_loss mAP_0.5 grad_norm best_val_acc val_precision
        val_balanced_accuracy entropy loss_cls recall lr_find_loss time 准确率""",
}


@pytest.mark.parametrize("role", NAMES)
def test_the_usual_names(role):
    names = NAMES[role].split()
    assert {name: role_of(name) for name in names} == dict.fromkeys(names, role)


def test_words_with_spaces_too():
    assert role_of("Train Loss") == Role("train", "loss")
    assert role_of("Valid Acc.") == Role("val", "accuracy")
    assert role_of("Learning Rate") == Role("", "learning_rate")
    assert role_of("Training/Training vs. Validation Loss") == Role("train", "loss")


def test_a_bare_name_is_of_the_training_as_keras_has_it_and_alone():
    for text in (KERAS, "epoch,accuracy,loss\n1,0.75,2.5\n2,0.5,0.5\n"):
        log = the_log(text)
        assert log.metrics["accuracy"] == "train_accuracy"
        assert log.remarks == []
    assert any("taken for the validation's" in remark for remark in the_log(FASTAI).remarks)


# Percent, errors, gaps


def test_percent_is_told_by_the_values_and_said():
    log = the_log("epoch,train_acc,val_acc\n1,55.5,1.0\n2,77.5,1.25\n3,66.5,1.1\n")
    assert line(log, "train_accuracy") == [(1, 0.555), (2, 0.775), (3, 0.665)]
    # 1 % of a hundred classes: a network that never learned
    assert line(log, "val_accuracy") == [(1, 0.01), (2, 0.0125), (3, pytest.approx(0.011))]
    assert log.remarks == ["In percent, by their values: 'train_acc', 'val_acc'."]
    mixed = the_log("epoch,train_acc,val_acc\n1,55.5,0.25\n2,77.5,0.75\n3,66.5,0.5\n")
    assert line(mixed, "val_accuracy") == [(1, 0.25), (2, 0.75), (3, 0.5)]
    assert mixed.remarks == ["In percent, by their values: 'train_acc'."]
    share = the_log("epoch,val_acc\n1,0.25\n2,1.0\n3,0.5\n")
    assert line(share, "val_accuracy") == [(1, 0.25), (2, 1), (3, 0.5)]
    signs = the_log("epoch,val_acc\n1,25%\n2,75%\n3,50%\n")
    assert line(signs, "val_accuracy") == [(1, 0.25), (2, 0.75), (3, 0.5)]


def test_what_is_called_an_accuracy_and_is_none_is_drawn_by_its_own_name():
    log = the_log("epoch,val_acc,val_loss\n1,250,2.5\n2,640,0.5\n3,310,1.5\n")
    assert line(log, "val_accuracy") == []
    assert other(log, "val_acc") == [(1, 250), (2, 640), (3, 310)]
    assert (log.chosen_by, log.best["epoch"]) == ("val_loss", 2)
    assert "its values are no shares" in log.remarks[-1]


def test_an_error_becomes_an_accuracy_where_there_is_none():
    log = the_log("epoch,val_error,val_loss\n1,75,2.5\n2,12.5,1.5\n3,50,0.5\n")
    assert line(log, "val_accuracy") == [(1, 0.25), (2, 0.875), (3, 0.5)]
    assert log.remarks[-1] == "'val_error' is an error: drawn is the accuracy, 1 less the error."
    both = the_log("epoch,val_error,val_acc\n1,0.75,0.25\n2,0.125,0.875\n")
    assert line(both, "val_accuracy") == [(1, 0.25), (2, 0.875)]
    assert other(both, "val_error") == [(1, 0.75), (2, 0.125)]


def test_values_that_are_no_numbers_are_gaps_and_counted():
    log = the_log("epoch,loss,val_loss\n1,2.5,nan\n2,inf,0.5\n3,NaN,1.5\n4,1.5,\n")
    assert line(log, "train_loss") == [(1, 2.5), (2, None), (3, None), (4, 1.5)]
    assert line(log, "val_loss") == [(1, None), (2, 0.5), (3, 1.5)]  # an empty cell is no gap
    assert log.remarks == [
        "No numbers, or infinite: 3 values of 'loss', 'val_loss'. They are gaps."
    ]
    assert log.best["epoch"] == 2


# Positions


def test_a_table_that_was_resumed():
    log = the_log("epoch,loss\n1,4.5\n2,3.5\n3,2.5\n2,9.5\n3,1.5\n4,2.25\n")
    assert line(log, "train_loss") == [(1, 4.5), (2, 9.5), (3, 1.5), (4, 2.25)]
    assert "2 values of what it did anew left out" in log.remarks[0]


def test_evaluations_whose_steps_count_epochs():
    """One counter for the losses of batches, another for the accuracies of epochs."""
    parts = [event(step, simple("Loss/train", step)) for step in range(0, 400, 2)]
    parts += [event(step, simple("Acc/test", 60 + step % 3)) for step in range(5)]
    log = the_log(VERSION + b"".join(parts))
    assert line(log, "test_accuracy") == [(0, 0.6), (1, 0.61), (2, 0.62), (3, 0.6), (4, 0.61)]
    assert len(line(log, "train_loss", "step", "steps")) == 200
    assert line(log, "train_loss", "epoch", "steps")[0][0] is None
    assert any("taken for epochs" in remark for remark in log.remarks)
    assert "best at epoch 2, by its test accuracy of 62.0%, as it has no validation" in log.summary


def test_an_epoch_that_is_a_metric_of_its_own():
    parts = [event(step, simple("epoch", step // 100)) for step in (49, 99, 149)]
    parts += [event(step, simple("val_loss", value)) for step, value in ((99, 2.5), (199, 0.5))]
    log = the_log(VERSION + b"".join(parts))
    assert line(log, "val_loss") == [(0, 2.5), (1, 0.5)]
    assert line(log, "val_loss", "step") == [(99, 2.5), (199, 0.5)]
    assert list(log.metrics) == ["val_loss"]


def test_values_without_steps_are_counted():
    log = the_log(VERSION + b"".join(event(0, simple("loss", value)) for value in (3, 0.5, 2)))
    assert line(log, "train_loss", "step") == [(1, 3), (2, 0.5), (3, 2)]
    assert log.remarks == ["It was logged without steps: its values are counted, from 1."]


@pytest.mark.parametrize(
    ("times", "seconds"),
    [
        ((1_700_000_010.5, 1_700_000_012.0, 1_700_000_020.0), [0, 1.5, 9.5]),
        ((1_700_000_010_500, 1_700_000_012_000, 1_700_000_020_000), [0, 1.5, 9.5]),
        (("2024-05-01 12:00:00", "2024-05-01 12:00:30.5", "2024-05-01 13:00:00"), [0, 30.5, 3600]),
        ((3.5, 4.5, 9.5), [3.5, 4.5, 9.5]),
        ((3.5, 3.25, 3.75), [None, None, None]),  # how long each took
    ],
)
def test_times_give_seconds(times, seconds):
    name = "time" if seconds[0] is None else "timestamp"
    rows = "".join(f"{epoch},0.5,{time}\n" for epoch, time in enumerate(times))
    log = the_log(f"epoch,val_loss,{name}\n{rows}")
    assert [position for position, _ in line(log, "val_loss", "seconds")] == seconds


# Limits


def test_long_lines_are_drawn_by_their_least_and_greatest(monkeypatch):
    monkeypatch.setattr(log_module, "MOST_POINTS", 100)
    values = np.random.default_rng(0).normal(3, 1, 5000)
    values[[1234, 3210]] = -50, 50
    log = the_log("step,loss\n" + "".join(f"{n},{value}\n" for n, value in enumerate(values)))
    found = line(log, "train_loss", "step", "steps")
    assert len(found) <= 102
    assert {(0, values[0]), (1234, -50), (3210, 50), (4999, values[-1])} <= set(found)
    assert all(values[step] == value for step, value in found)
    assert "Of the 5,000 values of 'loss'" in log.remarks[0]


def test_no_more_values_than_can_be_kept_are_read(monkeypatch):
    monkeypatch.setattr(log_series, "MOST_VALUES", 6)
    monkeypatch.setattr(event_files, "MOST_VALUES", 2)
    log = the_log(KERAS.replace("accuracy", "f1"))
    assert len(log.epochs) == 2  # five columns a row
    assert "first 6 values" in log.remarks[0]
    assert line(the_log(event_file()), "val_loss", "step") == [(0, 2.5), (300, 0.25)]


BAD = {
    "empty": (b"", "is empty"),
    "blank": (b"\n \r\n\0\0", "is empty"),
    "picture": (b"\x89PNG\r\n\x1a\n" + bytes(50), "is a picture: TensorBoard event files"),
    "pickle": (b"\x80\x02}q\x00.", "is a pickle, as checkpoints are"),
    "keras": (b"\x89HDF\r\n\x1a\n" + bytes(50), "an HDF5 file, as Keras stores weights in"),
    "gzip": (b"\x1f\x8b\x08\0" + bytes(50), "unpack it first"),
    "page": (b"<!DOCTYPE html><html><p>loss 1, 2", "is a web page"),
    "lfs": (b"version https://git-lfs.github.com/spec/v1\noid sha256:1\n", "pointer of Git LFS"),
    "words": (b"Dear diary,\ntoday I trained a network.\n", "is a text, and no log"),
    "binary": (bytes(range(256)) * 4, "is no log that is known here"),
    "numbers": (b"0,2.5\n1,0.5\n2,1.5\n", "table without names"),
    "header": (b"epoch,loss\n", "is a text, and no log"),
    "answers": (b"label,prediction\n1,2\n3,4\n", "neither epochs or steps nor a metric"),
    "other_json": (b'{"name": "x", "version": 3}', "neither epochs or steps nor a metric"),
    "json_list": (b"[1, 2, 3]", "is a text, and no log"),
    "no_history": (b'{"log_history": []}', "has no figures to draw"),
    "deep": (b'{"loss":' + b"[" * 100_000 + b"]" * 100_000 + b"}", "is a text, and no log"),
    "parts": (
        b'{"loss":[' + b"[]," * 600_000 + b"0]}",
        "600,001 items: up to|lists and objects and",
    ),
    "items": (b'{"loss": [' + b"1," * 5_100_000 + b"1]}", "5,100,000 items: up to"),
    "long_number": (b'{"loss": [' + b"9" * 5000 + b"]}", "is a text, and no log"),
    "wide": (b"a," * 3000 + b"b\n" + b"1," * 3000 + b"1\n", "3,001 columns"),
    "long_line": (b"a," * 600_000, "a line of more than 1,000,000 letters"),
    "long_field": (b'epoch,"' + b"x" * 200_000 + b'"\n1,2\n', "is a text, and no log"),
    "first_record_only": (VERSION, "a TensorBoard event file, and has no figures to draw"),
    "no_first_record": (b"\1" + VERSION[1:], "is no log that is known here"),
    "broken_zip": (b"PK\x03\x04" + bytes(90), "not a zip file"),
    "zip_of_others": (zipped({"a.txt": b"hello", "b.png": b"\x89PNG"}), "no log in it, in"),
    "checkpoint": (zipped({"model/data.pkl": b"\x80\x02."}), "a zip, as checkpoints"),
}


@pytest.mark.parametrize("name", BAD)
def test_what_is_no_log_is_one_sentence(name):
    data, sentence = BAD[name]
    with pytest.raises(UserError, match=sentence) as caught:
        read_bytes(f"../{name}.dat", data)
    said = str(caught.value)
    assert "\n" not in said
    assert len(said) < 400
    assert name in said or "zip" in name or "columns" in said
    assert "../" not in said


def test_too_large_is_looked_at_first(monkeypatch):
    monkeypatch.setattr(log_files, "MAX_BYTES", 10)
    with pytest.raises(UserError, match="up to that a log can be read"):
        read_bytes("log.csv", KERAS.encode())


def test_many_metrics_are_refused_in_any_kind(monkeypatch):
    monkeypatch.setattr(log_series, "MOST_METRICS", 3)
    monkeypatch.setattr(event_files, "MOST_METRICS", 3)
    many = "".join(json.dumps({"epoch": n, f"m{n}": n}) + "\n" for n in range(5))
    events = VERSION + b"".join(event(n, simple(f"m{n}", n)) for n in range(5))
    for data in (many.encode(), events):
        with pytest.raises(UserError, match="more than 3 metrics"):
            read_bytes("log", data)


def test_names_cannot_restyle_a_terminal(capsys, tmp_path):
    (tmp_path / "a.csv").write_text("epoch,val_loss,\x1b[31mred\n1,2.5,3\n2,0.5,4\n")
    assert main(["logs", str(tmp_path / "a.csv")]) == 0
    assert "\x1b" not in capsys.readouterr().out


# The curves


def traces(display, *given, **more):
    return {trace.name: trace for trace in display.plot(*given, **more).data}


def test_a_log_is_drawn_as_a_run_is():
    log = the_log(KERAS, "keras.csv")
    lines = traces(CurvesDisplay.from_logs([log]), "loss", "epochs", smoothing=0.9)
    assert list(lines) == [
        "keras.csv, training",
        "keras.csv, validation",
        "keras.csv, best epoch",
    ]
    assert list(
        zip(lines["keras.csv, training"].x, lines["keras.csv, training"].y, strict=True)
    ) == (TRAIN_LOSS)
    assert lines["keras.csv, training"].line.dash == "dot"
    star = lines["keras.csv, best epoch"]
    assert (list(star.x), list(star.y)) == ([1], [2.25])


def test_a_log_beside_a_run_has_another_colour_and_only_what_it_has():
    run = folders.open_run("lenet")
    log = the_log("step,test_acc,loss\n5,0.25,2.5\n10,0.75,nan\n15,0.5,1.5\n", "x.csv")
    display = CurvesDisplay.from_runs([run]) | CurvesDisplay.from_logs([log])
    lines = traces(display, "accuracy", "steps", until=10)
    assert lines["x.csv, test"].line.dash == "dash"
    assert lines["x.csv, test"].line.color != lines[f"{run.run_id}, validation"].line.color
    assert "x.csv, validation" not in lines
    assert list(lines["x.csv, best epoch"].y) == [0.75]
    assert list(lines["x.csv, test"].x) == [5, 10]  # what comes after the film's step is pale
    assert list(traces(display, "loss", "steps")["x.csv, training"].y) == [2.5, None, 1.5]
    assert display.without("accuracy", "epochs") == ["x.csv"]
    assert display.without("accuracy", "steps") == []


def test_the_steps_are_smoothed_over_their_gaps():
    rows = "".join(f"{n},{'nan' if n == 5 else n % 7}\n" for n in range(200))
    display = CurvesDisplay.from_logs([the_log("step,loss\n" + rows, "x")])
    rough = traces(display, "loss", "steps")["x, step by step"]
    smooth = traces(display, "loss", "steps", smoothing=0.5)["x, step by step"]
    assert rough.y[5] is smooth.y[5] is None
    weight = 0.5 ** (600 / 199)
    assert smooth.y[1] == pytest.approx((1 - weight) * 1 / (1 - weight**2))
    assert [value is None for value in smooth.y].count(True) == 1


def test_any_metric_by_its_own_name_also_in_the_table():
    log = the_log("epoch,val_loss,<b>f1\n1,2.5,0.25\n2,0.5,0.75\n3,1.5,0.5\n", "x")
    display = CurvesDisplay.from_logs([log], "<b>f1")
    figure = display.plot("<b>f1", "epochs")
    assert [trace.name for trace in figure.data] == ["x, &lt;b&gt;f1"]
    assert list(figure.data[0].y) == [0.25, 0.75, 0.5]
    header, *rows = csv.reader(io.StringIO(display.csv()))
    assert header[-2:] == ["<b>f1", "best"]
    assert [row[6] for row in rows] == ["2.5", "0.5", "1.5", "", "", ""]
    assert [row[-1] for row in rows] == ["0", "1", "0", "0", "0", "0"]
    assert [row[-2] for row in rows] == ["", "", "", "0.25", "0.75", "0.5"]


# The page


def opened(**query):
    app = AppTest.from_file(str(ROOT / "app.py"), default_timeout=TIMEOUT)
    app.query_params["model"] = "lenet"
    return fine(fine(app.run()).switch_page("pages/6_Training_curves.py").run())


def drawn(app):
    """The curves on the page, by their names."""
    # the one drawn before stands there as well, until this one is
    last = max(app.get("plotly_chart"), key=lambda chart: int(chart.proto.id.rpartition("_")[2]))
    return {trace["name"] for trace in json.loads(last.proto.spec)["data"]}


def test_the_page_draws_what_is_dropped_beside_the_run_and_alone():
    app = opened()
    assert drawn(app) == {"lenet, step by step", "lenet, training", "lenet, validation",
                          "lenet, best checkpoint"}  # fmt: skip
    app.file_uploader(key="logs_files_0").set_value(
        [
            (
                "<b>mine.csv",
                b"step,val_loss,loss,f1\n9,2.5,3,7\n18,0.5,2,9\n27,1.5,1,8\n",
                "text/csv",
            ),
            ("lenet", event_file(), "application/octet-stream"),
            ("../<i>cat.png", b"\x89PNG....", "image/png"),
        ]
    ).run()
    fine_but(app, "<i>cat.png is a picture")
    # neither has an accuracy: the page turns to the loss, and over what they have
    assert app.segmented_control(key="quantity").value == "loss"
    assert app.segmented_control(key="axis").options == ["steps", "seconds"]
    assert {"&lt;b&gt;mine.csv, validation", "lenet (log), validation", "lenet, validation"} <= (
        drawn(app)
    )
    said = texts(app).replace("\\", "")
    assert "best at step 18, by its validation loss of 0.5" in said
    assert "<b>" not in texts(app)
    app.toggle(key="logs_alone").set_value(True).run()
    assert not {"lenet, training", "lenet, best checkpoint"} & drawn(app)
    app.selectbox(key="logs_metric").set_value("f1").run()
    assert drawn(app) == {"&lt;b&gt;mine.csv, f1"}
    assert "lenet has no f1 over steps" in texts(app).replace("\\", "")


def fine_but(app, *sentences):
    """No exception, and these sentences in boxes alone."""
    assert not app.exception, app.exception
    said = [box.value.replace("\\", "") for box in app.error]
    assert len(said) == len(sentences)
    assert all(sentence in each for sentence, each in zip(sentences, said, strict=True))


def test_what_was_dropped_stays_for_the_session_until_it_is_forgotten():
    app = opened()
    app.text_area(key="logs_text").set_value(KERAS).run()
    assert "pasted, validation" in drawn(fine(app))
    app.text_area(key="logs_text").set_value(BEARPAW).run()  # in its place
    assert app.multiselect(key="logs_drawn").options == ["pasted"]
    fine(app.switch_page("pages/8_Confusion_matrix.py").run())
    fine(app.switch_page("pages/6_Training_curves.py").run())
    assert "pasted, validation" in drawn(app)
    [forget] = [button for button in app.button if button.label == "Forget these logs"]
    assert not any("pasted" in name for name in drawn(fine(forget.click().run())))


def test_an_imported_run_asks_for_its_log(root):
    folder = fabricate(root, "mine", [{"event": "imported", "parameters": 62006}], snapshots=False)
    config = json.loads((folder / "config.json").read_text())
    config |= {"dataset": "", "recipe": {}, "origin": {"file": "mine.pth"}}
    (folder / "config.json").write_text(json.dumps(config))
    app = AppTest.from_file(str(ROOT / "pages/6_Training_curves.py"), default_timeout=TIMEOUT)
    app.query_params["model"] = "mine"
    [box] = fine(app.run()).info
    assert "drop the log of its training" in box.value
    app.text_area(key="logs_text").set_value(KERAS).run()
    assert drawn(fine(app)) >= {"pasted, validation"}
    assert "pasted (a table of figures): accuracy" in texts(app).replace("\\", "")


# The command


def test_the_command_says_what_it_found_and_writes_it(tmp_path, capsys):
    written(tmp_path / "logs", keras_files("one/") | {"log.txt": BEARPAW.encode()})
    table, picture, drawing = (tmp_path / name for name in ("out.csv", "out.png", "out.svg"))
    status = main(["logs", str(tmp_path / "logs"), "--csv", str(table), "--out", str(picture)])
    said = capsys.readouterr().out
    assert status == 0
    assert "one: a TensorBoard event file, 4 metrics over epochs, seconds; best at epoch 0" in said
    assert "log.txt: a table of figures, 5 metrics over epochs; best at epoch 2" in said
    assert "Learning Rate  learning rate" in said
    assert picture.read_bytes().startswith(b"\x89PNG")
    rows = list(csv.DictReader(io.StringIO(table.read_text())))
    best = [row for row in rows if row["best"] == "1"]
    assert [(row["run"], row["epoch"], float(row["val_accuracy"])) for row in best] == [
        ("one", "0", 0.875),
        ("log.txt", "2", 0.625),
    ]
    main(["logs", str(tmp_path / "logs/log.txt"), "--out", str(drawing), "--quantity", "loss"])
    assert b"<svg" in drawing.read_bytes()


@pytest.mark.parametrize(
    ("given", "sentence"),
    [
        (["nowhere.csv"], "cannot be read"),
        (["{}", "--out", "x.gif"], "a PNG or an SVG"),
        (["{}", "--out", "x.png", "--quantity", "f2"], "Possible: accuracy, loss, f1"),
        (["{}", "--csv", "x.csv", "--over", "hours"], "Possible: epochs"),
    ],
)
def test_what_the_command_cannot_do_is_one_sentence(tmp_path, capsys, given, sentence):
    (tmp_path / "log.csv").write_text(KERAS.replace("loss,", "loss,f1,").replace(",3.5", ",1,3.5"))
    given = [part.format(tmp_path / "log.csv") for part in given]
    assert main(["logs", *given]) == 2
    assert sentence in capsys.readouterr().err


def test_a_name_with_dollars_is_no_formula_in_a_picture(tmp_path):
    from vizlib.displays.still import still

    log = the_log("epoch,val_loss,$x^{\n1,2.5,0.25\n2,0.5,0.75\n", "_$\\frac{")
    figure = CurvesDisplay.from_logs([log], "$x^{").plot("$x^{", "epochs")
    assert still(figure, "svg").startswith(b"<?xml")
    assert math.isfinite(len(still(figure, "png")))
