"""The confusion matrix: rows true, columns predicted, coloured by row, counts and percent in the cell."""

import html
from dataclasses import dataclass

import numpy as np

MOST_WRITTEN = 20  # classes; beyond, cells are too small for numbers and say them when pointed at


@dataclass(frozen=True)
class ConfusionDisplay:
    """counts: int (K, K), rows true, columns predicted."""

    counts: np.ndarray
    class_names: list

    @classmethod
    def from_predictions(cls, predictions, class_names):
        return cls(predictions.confusion(), list(class_names))

    @property
    def shares(self):
        """The counts as shares of their row, in [0, 1]; a row with no image is zero."""
        totals = self.counts.sum(axis=1, keepdims=True)
        return np.divide(self.counts, totals, out=np.zeros(self.counts.shape), where=totals > 0)

    def plot(self, selected=None, dark=False, narrow=False):
        """A Plotly figure. Its heat map sends no clicks, so invisible markers over the cells do, with customdata (true, predicted).

        selected: the cell (true, predicted) to frame, or None. dark: whether the page behind is dark. narrow: whether it has half a page,
        so that letters are smaller and the axes barer.
        """
        import plotly.graph_objects as go

        classes, names = len(self.class_names), [html.escape(name[:24], quote=False) for name in self.class_names]  # Plotly draws tags and links
        shares, written = self.shares, len(self.class_names) <= MOST_WRITTEN
        text = [[f"{count:,}<br>{_percent(share)}" if count else "" for count, share in zip(*row)] for row in zip(self.counts, shares)]
        colours = ["#111827", "#17323d", "#0e7490"] if dark else ["#f8fafc", "#dff3f4", "#0e7490"]
        heat = go.Heatmap(
            z=shares,
            zmin=0,
            zmax=1,
            colorscale=list(zip((0, 0.02, 1), colours)),  # a cell with any image in it stands out from an empty one
            xgap=1,
            ygap=1,
            hoverinfo="skip",
            showscale=False,  # the share is written in the cell
        )
        true, predicted = (axis.ravel() for axis in np.indices((classes, classes)))
        markers = go.Scatter(
            x=predicted,
            y=true,
            mode="markers",
            marker=dict(symbol="square", size=max(8, 420 // classes), opacity=0),
            customdata=np.stack([true, predicted], axis=1),
            text=[f"true {names[t]}, predicted {names[p]}: {self.counts[t, p]:,} ({_percent(shares[t, p])} of the row)" for t, p in zip(true, predicted)],
            hovertemplate="%{text}<extra></extra>",
            selected=dict(marker=dict(opacity=0)),
            unselected=dict(marker=dict(opacity=0)),
        )
        numbers = go.Scatter(  # not the heat map's own text, which has one colour for light and dark cells
            x=predicted,
            y=true,
            mode="text",
            text=[line for row in text for line in row] if written else [],
            textfont=dict(size=9 if narrow or classes > 10 else 12, color=["#f8fafc" if dark or share > 0.62 else "#0f172a" for share in shares.ravel()]),
            hoverinfo="skip",
        )
        figure = go.Figure([heat, numbers, markers])
        if selected is not None:
            row, column = selected
            figure.add_shape(type="rect", x0=column - 0.5, x1=column + 0.5, y0=row - 0.5, y1=row + 0.5, line=dict(color="#f97316", width=3))
        totals = names if narrow else [f"{name}  ({total:,})" for name, total in zip(names, self.counts.sum(axis=1))]
        ticks = list(range(classes))
        figure.update_xaxes(title="predicted", range=[-0.5, classes - 0.5], tickvals=ticks, ticktext=names, side="top", showgrid=False, zeroline=False)
        figure.update_yaxes(title="true" if narrow else "true (images)", tickvals=ticks, ticktext=totals, range=[classes - 0.5, -0.5], showgrid=False, zeroline=False)
        figure.update_layout(height=100 + max(380, 44 * min(classes, 16)), margin=dict(l=10, r=10, t=10, b=10), dragmode=False, showlegend=False)
        figure.update_layout(hovermode="closest", hoverdistance=-1)  # wherever a cell is pointed at, its marker is the nearest
        return figure

    def csv(self):
        """A header of predicted classes, then one row a true class, counts."""
        quoted = ['"' + name.replace('"', '""') + '"' for name in self.class_names]
        rows = [",".join([name, *map(str, row)]) for name, row in zip(quoted, self.counts)]
        return "\n".join([",".join(["true \\ predicted", *quoted]), *rows]) + "\n"


def _percent(share):
    return f"{100 * share:.0f} %" if share >= 0.0995 or share == 0 else f"{100 * share:.1f} %"
