"""What no public call of Streamlit gives. Made for 1.67: an upgrade must open this file first."""

from streamlit.runtime.scriptrunner import get_script_run_ctx


def page_now():
    """What tells the page that is drawn now from the others."""
    return get_script_run_ctx().page_script_hash


def of_all_pages():
    """Widgets made inside belong to the whole app, as those of an entry script with st.navigation
    do, and not to one page.

    Else each change of page would drop the model and image from the address and put them back, one
    step of history each. Streamlit has no public call for it without st.navigation, whose first
    deep link after a start fails where there is a pages/ folder.
    """
    context = get_script_run_ctx()
    return context.run_with_active_hash(context.pages_manager.main_script_hash)
