"""What no public call of Streamlit gives. Made for 1.67: an upgrade must open this file first."""

from urllib.parse import parse_qs

from streamlit.runtime.scriptrunner import get_script_run_ctx


def page_now():
    """What tells the page that is drawn now from the others."""
    return get_script_run_ctx().page_script_hash


def came_by_history() -> bool:
    """Whether the browser's Back or Forward has brought the reader to this page."""
    return get_script_run_ctx().is_history_navigation


def address_as_sent() -> dict[str, str]:
    """What the browser's address said when this page was asked for, {name: its last value}.

    st.query_params lacks what is bound to a box inside a container of the page before: Streamlit
    takes that for gone, whether or not this page has the same box.
    """
    sent = parse_qs(get_script_run_ctx().query_string, keep_blank_values=True)
    return {name: values[-1] for name, values in sent.items()}


def of_all_pages():
    """Widgets made inside belong to the whole app, as those of an entry script with st.navigation
    do, and not to one page.

    Else each change of page would drop the model and image from the address and put them back, one
    step of history each. Streamlit has no public call for it without st.navigation, whose first
    deep link after a start fails where there is a pages/ folder.
    """
    context = get_script_run_ctx()
    return context.run_with_active_hash(context.pages_manager.main_script_hash)
