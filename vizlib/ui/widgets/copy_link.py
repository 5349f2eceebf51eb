"""A button that copies the address of the page, as others can open it, in the browser alone."""

from vizlib.ui.widgets import component

_component = component("copy_link")


def show(*, key, host, local, warning):
    """Show the button. host: this machine's name for others, in place of "localhost"; empty where
    there is none. local: what is said where the app is opened as "localhost". warning: what the
    address does not hold; empty for nothing.
    """
    data = dict(host=host, local=local, warning=warning)
    _component(key=key, data=data, width="content", height="content")
