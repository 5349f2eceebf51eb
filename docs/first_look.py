"""Writes what Home shows of a run before torch is in: PYTHONPATH=. python docs/first_look.py RUN

Needed anew where the weights of that run are others.
"""

import sys

from vizlib.inside.first_look import make
from vizlib.run.folders import open_run

for run_id in sys.argv[1:]:
    make(open_run(run_id))
