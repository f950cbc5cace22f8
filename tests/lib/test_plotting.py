"""Figures are drawn on the Axes that are given, say what they show, and are never shown."""

from __future__ import annotations

import matplotlib.pyplot as plt
import numpy as np
import pytest
import torch
from matplotlib.colors import to_hex
from matplotlib.figure import Figure

from tutorial_lib.plotting import (
    plot_attention_map,
    plot_attention_maps,
    plot_matrix,
    plot_runs,
    set_style,
)


@pytest.fixture(autouse=True)
def _no_figure_is_shown_or_left(monkeypatch):
    def show(*args, **kwargs):
        raise AssertionError("a figure was shown")

    monkeypatch.setattr(plt, "show", show)
    monkeypatch.setattr(Figure, "show", show)
    with plt.rc_context():
        yield
    plt.close("all")


def tick_labels(axis):
    return [label.get_text() for label in axis.get_ticklabels()]


def mesh(ax):
    (drawn,) = ax.collections
    return drawn


WEIGHTS = torch.tensor([[0.25, 0.75], [1.0, 0.0], [0.5, 0.5]])


# ---- matrices -----------------------------------------------------------------------------------


@pytest.mark.parametrize("draw", [plot_matrix, plot_attention_map])
def test_a_picture_is_drawn_on_the_axes_that_are_given(draw):
    figure, (left, right) = plt.subplots(1, 2)
    assert draw(WEIGHTS, ax=right, colorbar=False) is right
    assert not left.collections
    assert figure.axes == [left, right]


@pytest.mark.parametrize("draw", [plot_matrix, plot_attention_map])
def test_without_axes_a_new_figure_is_made(draw):
    other = plt.figure()
    ax = draw(WEIGHTS)
    assert ax.figure is not other
    assert len(ax.figure.axes) == 2  # the picture and its colour scale


def test_the_cells_have_the_values_and_row_0_is_on_top():
    ax = plot_matrix(WEIGHTS)
    assert np.array_equal(mesh(ax).get_array().reshape(3, 2), WEIGHTS)
    bottom, top = ax.get_ylim()
    assert bottom > top
    ax.figure.canvas.draw()


def test_a_matrix_with_a_gradient_or_in_half_precision_is_drawn():
    for matrix in (WEIGHTS.clone().requires_grad_(), WEIGHTS.bfloat16(), WEIGHTS.double()):
        assert np.array_equal(mesh(plot_matrix(matrix)).get_array().reshape(3, 2), WEIGHTS)


def test_labels_are_written_beside_their_rows_and_columns():
    ax = plot_matrix(WEIGHTS, row_labels=["a", "b", "c"], column_labels=["x", "y"])
    assert tick_labels(ax.yaxis) == ["a", "b", "c"]
    assert tick_labels(ax.xaxis) == ["x", "y"]
    ax = plot_attention_map(WEIGHTS, query_labels=["a", "b", "c"], key_labels=["x", "y"])
    assert tick_labels(ax.yaxis) == ["a", "b", "c"]
    assert tick_labels(ax.xaxis) == ["x", "y"]
    assert ax.get_xlabel().startswith("key")
    assert ax.get_ylabel().startswith("query")


def test_annotated_cells_hold_two_decimals():
    for draw in (plot_matrix, plot_attention_map):
        written = [text.get_text() for text in draw(WEIGHTS, annotate=True).texts]
        assert written == ["0.25", "0.75", "1.00", "0.00", "0.50", "0.50"]
        assert not draw(WEIGHTS).texts


def test_the_colour_scale_spans_the_data_or_what_is_asked_for():
    matrix = torch.tensor([[-3.0, 1.0]])
    assert mesh(plot_matrix(matrix)).get_clim() == (-3, 1)
    assert mesh(plot_matrix(matrix, limits=(-4, 5))).get_clim() == (-4, 5)
    assert mesh(plot_matrix(matrix, diverging=True)).get_clim() == (-3, 3)
    assert mesh(plot_attention_map(0.5 * WEIGHTS)).get_clim() == (0, 1)


def test_the_colours_are_safe_for_colour_blind_readers():
    assert mesh(plot_matrix(WEIGHTS)).get_cmap().name == "viridis"
    assert mesh(plot_matrix(WEIGHTS, diverging=True)).get_cmap().name == "PuOr"


@pytest.mark.usefixtures("unchecked_shapes")
@pytest.mark.parametrize("shape", [(3,), (1, 3, 2), ()])
def test_what_is_not_a_matrix_is_refused(shape):
    with pytest.raises(ValueError, match=r"matrix must have two axes, got shape \("):
        plot_matrix(torch.zeros(shape))
    with pytest.raises(ValueError, match=r"weights must have two axes, got shape \("):
        plot_attention_map(torch.zeros(shape))
    with pytest.raises(ValueError, match=r"runs must have two axes, got shape \("):
        plot_runs([0, 1], torch.zeros(shape), label="loss")
    assert not plt.get_fignums()


@pytest.mark.parametrize(
    ("draw", "rows", "columns"),
    [
        (plot_matrix, "row_labels", "column_labels"),
        (plot_attention_map, "query_labels", "key_labels"),
    ],
)
def test_labels_that_do_not_fit_are_refused(draw, rows, columns):
    with pytest.raises(ValueError, match=f"{rows} must hold 3 labels, got 2"):
        draw(WEIGHTS, **{rows: ["a", "b"]})
    with pytest.raises(ValueError, match=f"{columns} must hold 2 labels, got 3"):
        draw(WEIGHTS, **{columns: ["a", "b", "c"]})
    assert not plt.get_fignums()


# ---- stacks of maps -----------------------------------------------------------------------------


def make_maps(layers=2, heads=3, length=4):
    return list(torch.rand(layers, heads, length, length).softmax(dim=-1))


@pytest.mark.parametrize(("layers", "heads"), [(2, 3), (1, 1), (1, 4), (3, 1)])
def test_a_stack_has_a_row_a_layer_and_a_picture_a_head(layers, heads):
    maps = make_maps(layers, heads)
    axes = plot_attention_maps(maps, labels=list("abcd"))
    assert axes.shape == (layers, heads)
    for layer in range(layers):
        for head in range(heads):
            ax = axes[layer, head]
            assert ax.get_title() == f"layer {layer + 1}, head {head + 1}"
            assert np.array_equal(mesh(ax).get_array().reshape(4, 4), maps[layer][head])
    figure = axes[0, 0].figure
    assert len(figure.axes) == layers * heads + 1  # one colour scale for all
    assert tick_labels(axes[-1, 0].xaxis) == list("abcd")
    figure.canvas.draw()


def test_a_stack_is_drawn_on_the_axes_that_are_given():
    figure, axes = plt.subplots(2, 3)
    assert plot_attention_maps(make_maps(), axes=axes) is axes
    assert plt.get_fignums() == [figure.number]


@pytest.mark.usefixtures("unchecked_shapes")
@pytest.mark.parametrize(
    ("maps", "settings", "says"),
    [
        ([], {}, r"maps must hold tensors of one shape.*got shapes \[\]"),
        ([torch.zeros(4, 4)], {}, r"maps must hold tensors.*got shapes \[\(4, 4\)\]"),
        ([torch.zeros(2, 4, 4), torch.zeros(3, 4, 4)], {}, "maps must hold tensors of one shape"),
        (make_maps(), {"labels": ["a"]}, "labels must hold 4 labels, got 1"),
        (
            make_maps(),
            {"axes": np.empty((3, 2), dtype=object)},
            r"axes must have shape \(layers, heads\) = \(2, 3\), got \(3, 2\)",
        ),
    ],
)
def test_a_stack_that_cannot_be_drawn_is_refused(maps, settings, says):
    with pytest.raises(ValueError, match=says):
        plot_attention_maps(maps, **settings)
    assert not plt.get_fignums()


# ---- runs ---------------------------------------------------------------------------------------

RUNS = torch.tensor([[1.0, 5.0, 2.0], [3.0, 4.0, 0.0], [2.0, 9.0, 1.0]])


def test_runs_are_their_median_and_their_band():
    _, ax = plt.subplots()
    assert plot_runs([0, 10, 20], RUNS, label="loss", ax=ax, linestyle="--") is ax
    (line,) = ax.lines
    assert line.get_xdata().tolist() == [0, 10, 20]
    assert line.get_ydata().tolist() == [2, 5, 1]
    assert (line.get_label(), line.get_linestyle()) == ("loss", "--")
    (band,) = ax.collections
    corners = {tuple(point) for point in band.get_paths()[0].vertices.tolist()}
    assert {(0, 1), (0, 3), (10, 4), (10, 9), (20, 0), (20, 2)} <= corners
    assert to_hex(band.get_facecolor()[0]) == to_hex(line.get_color())


def test_runs_without_axes_make_a_new_figure():
    assert plot_runs([0, 1, 2], RUNS, label="loss").figure.number in plt.get_fignums()


@pytest.mark.parametrize("x", [[0, 1], [0, 1, 2, 3]])
def test_runs_without_a_point_for_each_x_are_refused(x):
    with pytest.raises(ValueError, match=f"runs must have {len(x)} points, one for each x, got 3"):
        plot_runs(x, RUNS, label="loss")


# ---- style --------------------------------------------------------------------------------------


def test_the_style_has_a_white_ground_and_a_colour_blind_safe_palette():
    set_style()
    assert plt.rcParams["figure.facecolor"] == "white"
    first = plt.rcParams["axes.prop_cycle"].by_key()["color"][0]
    assert to_hex(first) == "#0173b2"  # the first of seaborn's colorblind palette
