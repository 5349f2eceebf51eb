"""Many readers of Feature maps at once, who speak Streamlit's own protocol over WebSockets. Each
answer is checked: no exception or error box, and the layer and unit that were asked for.
"""

import asyncio
import json
import random
import time
from dataclasses import dataclass, field
from urllib.parse import urlencode

import websockets
from streamlit.proto.BackMsg_pb2 import BackMsg
from streamlit.proto.ForwardMsg_pb2 import ForwardMsg

from vizlib.images import photograph_names

# how a script ends that has drawn its page: not a part of it alone, and not to begin once more
WHOLE = (ForwardMsg.FINISHED_SUCCESSFULLY, ForwardMsg.FINISHED_WITH_COMPILE_ERROR)
ATLAS = "convscope_atlas_view"  # the component that shows all maps of a layer


@dataclass
class Measured:
    """What a crowd has measured: milliseconds of first pages and of reruns, what was wrong."""

    firsts: list = field(default_factory=list)
    reruns: list = field(default_factory=list)
    faults: list = field(default_factory=list)
    received: int = 0  # bytes
    seconds: float = 0.0  # of the whole crowd

    @property
    def per_second(self):
        return (len(self.firsts) + len(self.reruns)) / self.seconds

    @property
    def kilobytes(self):
        """Of an answer, on average."""
        return self.received / 1000 / max(1, len(self.firsts) + len(self.reruns))


@dataclass
class Page:
    """What the server has sent of a page."""

    page_hash: str = ""
    title: str = ""
    atlas: dict = field(default_factory=dict)
    model: object = None  # the select boxes of both
    layer: object = None
    unit: object = None  # the number box
    faults: list = field(default_factory=list)
    received: int = 0  # bytes


def crowd(address, model, count, *, pause, reruns=10):
    """Measured: `count` sessions at once, each with a first page and then `reruns` changes, `pause`
    seconds apart on average.
    """
    return asyncio.run(_crowd(address, model, count, pause, reruns))


async def _crowd(address, model, count, pause, reruns):
    measured = Measured()
    start = time.perf_counter()
    await asyncio.gather(
        *(_session(address, model, number, pause, reruns, measured) for number in range(count))
    )
    measured.seconds = time.perf_counter() - start
    return measured


async def _session(address, model, number, pause, reruns, measured):
    chance = random.Random(number)
    await asyncio.sleep(chance.random() * pause)
    try:
        async with connection(address) as socket:
            message = opening("Feature_maps", model, number)
            page, milliseconds = await exchange(socket, message)
            measured.received += page.received
            measured.firsts.append(milliseconds)
            measured.faults += faults(page)
            for _ in range(reruns):
                await asyncio.sleep(pause * (0.5 + chance.random()))
                asked = _wish(page, chance)
                message = _changed(message, page, asked)
                page, milliseconds = await exchange(socket, message)
                measured.received += page.received
                measured.reruns.append(milliseconds)
                measured.faults += faults(page, **asked)
    except (OSError, TimeoutError, websockets.WebSocketException) as error:
        measured.faults.append(f"{type(error).__name__}: {str(error)[:100]}")


def connection(address):
    """A session of its own with the server at an address: an asynchronous context of its socket."""
    return websockets.connect(
        address.replace("http", "ws") + "/_stcore/stream",
        subprotocols=["streamlit"],
        max_size=None,
        open_timeout=60,
        ping_interval=None,
    )


def opening(page_name, model, number=0, **more):
    """What the browser sends when a page is opened by its address. number: of the reader, whose
    photograph is another one's.
    """
    photographs = photograph_names()
    shown = {"model": model, "photo": photographs[number % len(photographs)], **more}
    message = BackMsg()
    message.rerun_script.page_name = page_name
    message.rerun_script.query_string = urlencode(shown)
    return message


def _wish(page, chance):
    """Another layer or another unit, as faults() takes it; nothing where the page gives no
    choice.
    """
    if page.layer is None or page.unit is None:
        return {}
    if chance.random() < 0.5:
        return {"layer": chance.choice(page.layer.options)}
    return {"unit": chance.randint(0, int(page.unit.max))}


def _changed(last, page, asked):
    """What the browser sends when a layer or a unit is chosen: all widgets that were ever touched,
    as they stand now.
    """
    message = BackMsg()
    message.CopyFrom(last)
    message.rerun_script.page_script_hash = page.page_hash
    states = message.rerun_script.widget_states.widgets
    for name, value in asked.items():
        widget = getattr(page, name)
        kept = [state for state in states if state.id != widget.id]
        del states[:]
        states.extend(kept)
        states.add(id=widget.id, **{_KINDS[name]: value})
    return message


_KINDS = {"layer": "string_value", "unit": "double_value"}


async def exchange(socket, message):
    """Send, and receive until the whole script has finished: (Page, milliseconds)."""
    page = Page()
    start = time.perf_counter()
    await socket.send(message.SerializeToString())
    while True:
        content = await asyncio.wait_for(socket.recv(), 120)
        page.received += len(content)
        answer = ForwardMsg.FromString(content)
        if answer.WhichOneof("type") == "script_finished" and answer.script_finished in WHOLE:
            return page, (time.perf_counter() - start) * 1000
        _read(answer, page)


def _read(answer, page):
    """Keep what a message of the server says about the page."""
    if answer.WhichOneof("type") == "navigation":
        page.page_hash = answer.navigation.page_script_hash
    if answer.WhichOneof("type") == "page_not_found":
        page.faults.append("page not found")
    element = answer.delta.new_element
    kind = element.WhichOneof("type")
    if kind == "exception" or (kind == "alert" and element.alert.format == element.alert.ERROR):
        page.faults.append(f"{kind}: {(element.exception.message or element.alert.body)[:100]}")
    elif kind == "heading" and element.heading.tag == "h1":
        page.title = element.heading.body
    elif kind == "bidi_component" and element.bidi_component.component_name == ATLAS:
        page.atlas = json.loads(element.bidi_component.json)
    elif kind == "selectbox" and element.selectbox.label in ("Layer", "Model"):
        setattr(page, element.selectbox.label.lower(), element.selectbox)
    elif kind == "number_input" and element.number_input.label.startswith("Unit"):
        page.unit = element.number_input


def faults(page, layer=None, unit=None):
    """What is wrong with a page, in a few words each; layer, unit: what was asked for."""
    if page.faults:
        return page.faults
    if "Feature maps of" not in page.title:
        return ["not the page Feature maps"]
    if page.layer is None or page.unit is None:
        return ["no choice of a layer and a unit"]
    if "feature maps of" not in page.atlas.get("alt", ""):
        return ["no picture of all maps"]
    if layer is not None and not page.atlas["alt"].endswith(f"feature maps of {layer}"):
        return [f"not the maps of {layer} but {page.atlas['alt']!r}"]
    if unit is not None and page.atlas["selected"] != unit:
        return [f"not unit {unit} but {page.atlas['selected']}"]
    return []
