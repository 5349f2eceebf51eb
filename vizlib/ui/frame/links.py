"""Links between pages, and the menu: what is in view comes along."""

from contextlib import suppress
from functools import lru_cache
from pathlib import Path
from urllib.parse import urlencode

import streamlit as st

from vizlib.ui.frame import address, carried
from vizlib.ui.frame.address import OF_ALL_PAGES
from vizlib.ui.streamlit_internals import StreamlitPageNotFoundError

ROOT = Path(__file__).resolve().parents[3]
ICON = Path(__file__).parents[1] / "icon.png"  # an icon by name would be fetched from another host


def link(title, label, /, *, icon=None, wide=False, anew=False, **parameters):
    """A link to another page, by its title, as it was left, with these parameters changed. icon:
    what stands before its label; wide: it takes the width there is; anew: the page is opened not as
    it was left, but as it begins.

    The model, the image, the layer, the unit and the step in view come along by themselves. The
    page's own state is in the link: what Streamlit restores without that it adds to the address
    afterwards, as one more step of history, which would break the back button.
    """
    _link(title, label, _in_view(), parameters, icon=icon, wide=wide, anew=anew)


def _in_view():
    """(All that comes along in a link, what of it comes along by itself), by its name in an
    address.
    """
    of_all = {key: st.session_state[key] for key in OF_ALL_PAGES if key in st.session_state}
    return carried.all_now(), of_all


def _link(title, label, in_view, parameters, *, icon, wide, anew=False):
    all_now, of_all = in_view
    wanted = all_now | ({} if anew else _as_left(title)) | parameters
    if title == st.session_state.page_in_view:
        wanted = of_all | wanted
    else:  # they come along by themselves, and would stand there twice
        wanted = {key: value for key, value in wanted.items() if str(value) != str(of_all.get(key))}
    texts = {
        key: [str(item) for item in value] if isinstance(value, list) else str(value)
        for key, value in wanted.items()
    }
    # `streamlit run pages/...`: a page that runs by itself has no others beside it
    with suppress(StreamlitPageNotFoundError):
        st.page_link(
            _file_of(title),
            label=label,
            icon=icon,
            width="stretch" if wide else "content",
            query_params=texts,
        )


def address_of(title: str, parameters: dict[str, str]) -> str:
    """What follows the app's own address where a page shows this."""
    path = "" if title == "Home" else title.replace(" ", "_")
    return f"{path}?{urlencode(parameters)}" if parameters else path


def titles() -> list[str]:
    """All pages, in the order of their numbers."""
    return ["Home", *map(_title, _pages())]


def go(title, /, **parameters):
    """Open another page at once, as link() would, with these parameters changed."""
    address.ask(_as_left(title) | parameters)
    with suppress(StreamlitPageNotFoundError):
        # none: those that boxes are bound to cannot be given
        st.switch_page(_file_of(title), query_params={})


def _as_left(title):
    """What the widgets of a page's own were set to, by key."""
    keys = st.session_state.kept_by_page.get(title, ())
    # a widget takes its value from the address when it is drawn
    now = {key: st.session_state.get(key, st.query_params.get_all(key)) for key in keys}
    return {key: value for key, value in now.items() if value not in (None, [])}


def _file_of(title):
    """The file of a page, as Streamlit wants it."""
    if title == "Home":
        return "app.py"
    return next(f"pages/{file.name}" for file in _pages() if _title(file) == title)


def _pages():
    """The files of all pages, in the order of their numbers."""
    folder = ROOT / "pages"
    return _pages_in(folder, folder.stat().st_mtime_ns)


@lru_cache(maxsize=1)
def _pages_in(folder, changed):
    """The same of a folder in a state: a page has a link to each, and asks for each."""
    return sorted(folder.glob("[0-9]*_*.py"), key=lambda file: int(file.name.partition("_")[0]))


# The menu: in its groups the pages by title, each with its icon. A page that is not named here
# stands below the first ones.
_FIRST = {"Home": "home", "Lessons": "school", "Import": "upload_file"}
_GROUPS = {
    "Look inside": {
        "Architecture": "account_tree",
        "Filters": "blur_on",
        "Feature maps": "grid_view",
        "Unit": "center_focus_strong",
        "Class evidence": "highlight",
        "Play": "brush",
    },
    "Learn": {
        "Film": "movie",
        "Training curves": "show_chart",
        "Gradients": "trending_down",
        "Data": "photo_library",
    },
    "Judge": {"Confusion matrix": "grid_on", "Compare": "compare_arrows", "Check": "fact_check"},
}


def _title(file):
    return file.stem.partition("_")[2].replace("_", " ")


def menu():
    st.logo(str(ICON), size="large")
    st.markdown("### Convscope")
    there = titles()
    named = {title for group in (_FIRST, *_GROUPS.values()) for title in group}
    in_view = _in_view()  # once, and not for each of them
    with st.container(key="menu", gap=None):
        first = _FIRST | {title: "article" for title in there if title not in named}
        _links_of(first, there, in_view)
        for heading, group in _GROUPS.items():
            st.caption(heading)
            _links_of(group, there, in_view)
    st.divider()


def _links_of(group, titles, in_view):
    """The links to those pages of a group that there are."""
    for title, icon in group.items():
        if title in titles:
            _link(title, title, in_view, {}, icon=f":material/{icon}:", wide=True)
