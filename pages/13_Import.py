"""A network of one's own: drop in its file of weights, and every page opens on it."""

import streamlit as st

from vizlib.ui import page
from vizlib.ui.frame import status
from vizlib.ui.frame.guard import sentences
from vizlib.ui.parts import import_file, import_settings, import_test
from vizlib.ui.train_panel import trainings


def show(run, picture):
    status.title("Import")
    st.markdown(
        "Weights from anywhere: which network they are of is told by their names and shapes. "
        "Nothing in a file is ever run, and nothing leaves this computer."
    )
    import_test.say_what_came()
    brought = import_file.pick()
    if brought is None:
        return
    import_file.remarks(brought)
    with sentences("the filters"):
        import_file.first_filters(brought)
    with sentences("the settings"):
        import_settings.show(brought, picture, trainings.view)


page.run(show, "Import", follows=False, hands_in=None)
