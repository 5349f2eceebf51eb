"""Training curves of one or several runs, both splits, with the best checkpoint marked."""

from dataclasses import dataclass

QUANTITIES = {"loss": ("train_loss", "val_loss"), "accuracy": ("train_accuracy", "val_accuracy"), "learning rate": ("learning_rate", None)}
AXES = {"epochs": "epoch", "steps": "step", "seconds": "seconds"}
COLOURS = ("#0e7490", "#ea580c", "#7c3aed", "#16a34a", "#db2777", "#ca8a04", "#2563eb", "#525252", "#dc2626", "#0d9488")


@dataclass(frozen=True)
class CurvesDisplay:
    """histories: run name -> (epoch events, step events, best checkpoint event or None)."""

    histories: dict

    @classmethod
    def from_runs(cls, runs):
        return cls({run.run_id: (run.rows("epoch"), run.rows("step"), run.best) for run in runs})

    def plot(self, quantity, axis, smoothing=0.0, log_scale=False):
        """A Plotly figure of one of QUANTITIES over one of AXES.

        Validation is drawn full, training dotted; the thin line of a loss is its step-by-step course. smoothing: the weight in [0, 1)
        of an exponential moving average, with its start corrected as in Kingma and Ba 2015, on the step-by-step course only.
        """
        import plotly.graph_objects as go

        train_key, val_key = QUANTITIES[quantity]
        x_key, figure = AXES[axis], go.Figure()
        for number, (name, (epochs, steps, best)) in enumerate(self.histories.items()):
            colour = COLOURS[number % len(COLOURS)]
            if train_key in ("train_loss", "learning_rate") and steps:
                values = [row[train_key] for row in steps]
                values = smoothed(values, smoothing) if train_key == "train_loss" else values
                thin = dict(color=colour, width=1 if train_key == "train_loss" else 2)
                figure.add_scatter(x=[row[x_key] for row in steps], y=values, name=f"{name}, step by step", line=thin, opacity=0.55, mode="lines")
            if train_key != "learning_rate":
                x = [row[x_key] for row in epochs]
                dotted = dict(color=colour, dash="dot", width=2)
                figure.add_scatter(x=x, y=[row[train_key] for row in epochs], name=f"{name}, training", line=dotted, mode="lines+markers", marker_size=4)
                figure.add_scatter(x=x, y=[row[val_key] for row in epochs], name=f"{name}, validation", line=dict(color=colour, width=2.5), mode="lines+markers", marker_size=5)
            if best and val_key:
                at = next((row for row in epochs if row["epoch"] == best["epoch"]), None)
                if at:
                    star = dict(symbol="star", size=15, color=colour, line=dict(color="white", width=1))
                    figure.add_scatter(x=[at[x_key]], y=[at[val_key]], name=f"{name}, best checkpoint", mode="markers", marker=star)
        figure.update_layout(height=460, margin=dict(l=10, r=10, t=10, b=10), hovermode="x unified", legend=dict(orientation="h", y=-0.18))
        figure.update_xaxes(title=axis, rangemode="tozero")
        percent = quantity == "accuracy"
        figure.update_yaxes(title=quantity, tickformat=".0%" if percent else None, type="log" if log_scale else "linear")
        return figure

    def csv(self):
        """One row an epoch: run, epoch, step, seconds, train_loss, train_accuracy, val_loss, val_accuracy, learning_rate, best (0 or 1)."""
        columns = ("epoch", "step", "seconds", "train_loss", "train_accuracy", "val_loss", "val_accuracy", "learning_rate")
        rows = [",".join(("run", *columns, "best"))]
        for name, (epochs, _, best) in self.histories.items():
            for row in epochs:
                rows.append(",".join([name, *(str(row.get(column, "")) for column in columns), str(int(bool(best) and row["epoch"] == best["epoch"]))]))
        return "\n".join(rows) + "\n"


def smoothed(values, weight):
    """Exponential moving average; the first values are corrected for starting from nothing."""
    average, result = 0.0, []
    for count, value in enumerate(values, 1):
        average = weight * average + (1 - weight) * value
        result.append(average / (1 - weight**count))
    return result
