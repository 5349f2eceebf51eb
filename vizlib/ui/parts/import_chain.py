"""What the tensors of a plain chain do not say of it, asked: pools, strides, padding, the size of
its pictures.
"""

from dataclasses import replace

import streamlit as st

from vizlib.architectures.elsewhere.chain import NONLINEARITIES
from vizlib.bring import chains, opening
from vizlib.bring.recognition import REBUILT
from vizlib.errors import UserError
from vizlib.ui.frame.plain import plain


def asked(candidate, tensors):
    """The candidate, with what was answered otherwise; any that is no rebuilt chain as it is."""
    if candidate.how != REBUILT:
        return candidate
    shapes = {name: tuple(tensor.shape) for name, tensor in tensors.items()}
    proposal = next(
        (each for each in chains.propose(shapes) if each.layers == candidate.arguments["layers"]),
        None,
    )
    if proposal is None:
        return candidate
    with st.expander("Something of this is otherwise"):
        assumed = _answers(proposal.assumed, chains.convolutions(shapes))
        if assumed == proposal.assumed:
            return candidate
        try:
            rebuilt = opening.as_chain(chains.rebuild(shapes, assumed), shapes)
        except UserError as error:
            st.warning(plain(error))
            return candidate
        st.markdown(plain(rebuilt.sentence))
        return rebuilt


def _answers(assumed, convolutions):
    """What is assumed, each of it in a box of its own."""
    height, width = assumed.size
    side = st.number_input("Side of the pictures", 8, 512, height, key=f"chain_side_{height}")
    reduced = st.multiselect(
        "Maps become smaller after",
        convolutions,
        [name for name in convolutions if name in assumed.reduced],
        key="chain_reduced",
    )
    by = st.selectbox(
        "by", list(chains.REDUCTIONS), list(chains.REDUCTIONS).index(assumed.by), key="chain_by"
    )
    padding = st.selectbox(
        "Padding",
        list(chains.PADDINGS),
        list(chains.PADDINGS).index(assumed.padding),
        format_func=chains.PADDINGS.__getitem__,
        key="chain_padding",
    )
    stride = st.number_input(
        "Stride of the first convolution", 1, 8, assumed.first_stride, key="chain_stride"
    )
    nonlinearity = st.selectbox(
        "Nonlinearity",
        list(NONLINEARITIES),
        list(NONLINEARITIES).index(assumed.nonlinearity),
        key="chain_nonlinearity",
    )
    return replace(
        assumed,
        size=(side, side if side != height else width),
        reduced=tuple(reduced),
        by=by,
        padding=padding,
        first_stride=stride,
        nonlinearity=nonlinearity,
    )
