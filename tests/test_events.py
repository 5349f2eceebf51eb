"""Every declaration of an event keeps the contract of those who write, read and draw events: one
that is added is tested without a new line here.
"""

import json

import pytest

from tests.test_runs import write_run
from vizlib.run import folders
from vizlib.run.events import ANEW, EVENTS, LATER, Declaration, EventLog, Value, read_events
from vizlib.run.folders import read_run

# of each kind some value fits, and another does not; none is what a reader falls back on
CANDIDATES = (0.25, 3, "a short text", True, [0.5, 1.5], [2, 7], ["conv1", "fc"], None, {"a": 1})
STATUSES = {"queued", "training", "paused", "stopped", "failed", "finished", "imported"}


def declared(name: str) -> dict[str, Value]:
    return EVENTS[name].needed | EVENTS[name].optional


def fitting(values: dict[str, Value]) -> dict:
    return {key: next(filter(value.fits, CANDIDATES)) for key, value in values.items()}


def unfitting(value: Value) -> object:
    return next(candidate for candidate in CANDIDATES if not value.fits(candidate))


def written(folder, name, **values):
    """The events of a folder after this one was written into it, without their times, and what was
    left out of them.
    """
    with EventLog(folder) as log:
        log.write(name, **values)
    events, words = read_events(folder / "events.jsonl")
    assert all(isinstance(event.pop("time"), float) for event in events)
    return events, words


@pytest.mark.parametrize("name", EVENTS)
def test_an_event_is_read_as_it_was_written(name, tmp_path):
    values = fitting(declared(name))
    assert written(tmp_path, name, **values) == ([{"event": name, **values}], "")


@pytest.mark.parametrize("name", EVENTS)
def test_what_is_needed_is_enough(name, tmp_path):
    values = fitting(EVENTS[name].needed)
    assert written(tmp_path, name, **values) == ([{"event": name, **values}], "")


@pytest.mark.parametrize("name", EVENTS)
def test_an_event_without_what_it_needs_is_refused(name, tmp_path):
    path, values = tmp_path / "events.jsonl", fitting(declared(name))
    faulty = [values | {"no such value": 1}]
    for key, value in EVENTS[name].needed.items():
        faulty += [{other: values[other] for other in values if other != key}]
        faulty += [values | {key: unfitting(value)}]
    with EventLog(tmp_path) as log:
        for content in faulty:
            with pytest.raises(ValueError, match=f"{name!r} event"):
                log.write(name, **content)
    assert path.read_bytes() == b""
    for content in faulty[1:]:  # what nobody knows of is no fault in a file
        path.write_text(json.dumps({"event": name, **content}) + "\n", encoding="utf-8")
        events, words = read_events(path)
        assert events == []
        assert f"of a {name!r} event is not " in words


@pytest.mark.parametrize("name", EVENTS)
def test_what_an_event_can_do_without_is_left_out_where_it_does_not_fit(name, tmp_path):
    values = fitting(EVENTS[name].needed)
    odd = {key: unfitting(value) for key, value in EVENTS[name].optional.items()}
    assert written(tmp_path, name, **values, **odd) == ([{"event": name, **values}], "")
    path = tmp_path / "events.jsonl"
    path.write_text(json.dumps({"event": name, **values, **odd}) + "\n", encoding="utf-8")
    events, words = read_events(path)
    assert events == [{"event": name, **values}]
    assert bool(words) == bool(odd)


@pytest.mark.parametrize("name", EVENTS)
def test_the_facts_of_a_declaration_are_of_sensible_kinds(name):
    event = EVENTS[name]
    assert isinstance(event, Declaration)
    assert not set(event.needed) & set(event.optional)
    assert not {"event", "time"} & set(declared(name))
    assert all(value.words for value in declared(name).values())
    assert event.phase in {"", *STATUSES}
    assert event.undone in {"", LATER, ANEW}
    if event.undone:
        assert "step" in declared(name), "a resume goes by the step"


@pytest.mark.parametrize("name", [name for name, event in EVENTS.items() if event.tags])
def test_what_tensorboard_draws_are_numbers_at_a_step(name):
    assert "step" in EVENTS[name].needed
    for tag, key in EVENTS[name].tags.items():
        assert tag.format(layer="conv1")
        assert declared(name)[key].fits([0.5, 0.25] if "{layer}" in tag else 0.5)


@pytest.mark.parametrize("name", [name for name, event in EVENTS.items() if event.mark])
def test_a_mark_says_what_every_such_event_brings(name):
    needed = fitting(EVENTS[name].needed)
    words = EVENTS[name].mark.format(event=name, **needed)
    assert words.strip()
    assert "{" not in words
    assert "step" in needed, "a curve has it at a step"


@pytest.mark.parametrize("name", [name for name in EVENTS if "step" in declared(name)])
@pytest.mark.parametrize("step", [0, 4])
def test_a_resume_undoes_what_came_later(name, step, tmp_path):
    early, late = ({"event": name, **fitting(declared(name)), "step": at} for at in (4, 9))
    resumed = {"event": "resumed", "step": step}
    path = tmp_path / "events.jsonl"
    text = "".join(json.dumps(event) + "\n" for event in (early, late, resumed))
    path.write_text(text, encoding="utf-8")
    undoes = {"": False, LATER: True, ANEW: step == 0}[EVENTS[name].undone]
    kept = [event for event in (early, late) if event["step"] <= step or not undoes]
    assert read_events(path) == ([*kept, resumed], "")


@pytest.mark.parametrize("name", EVENTS)
def test_a_phase_is_the_status_of_the_run_while_its_process_lives(name, runs_root):
    folder = write_run(runs_root, "run")
    with EventLog(folder) as log:
        log.write("paused")
        log.write(name, **fitting(EVENTS[name].needed))
        assert read_run(folder).status == (EVENTS[name].phase or "paused")
    ended = EVENTS[name].phase in folders.ENDS
    assert read_run(folder).status == (EVENTS[name].phase if ended else "interrupted")
