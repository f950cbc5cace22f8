"""The reference is read without repeats, cut into three parts, and what they share is measured."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tutorial_lib.experiments.tiny_gpt.text import (
    LICENCE,
    paragraphs_of,
    read_splits,
    reference_paragraphs,
    shared_windows,
    split_text,
    without_repeats,
)


def test_the_reference_is_half_a_megabyte_and_repeats_itself():
    everything, once = reference_paragraphs(repeats=True), reference_paragraphs()
    assert 300_000 < sum(map(len, once)) < sum(map(len, everything)) < 1_000_000
    assert sum(map(len, once)) < 0.9 * sum(map(len, everything))
    assert len(set(once)) == len(once)
    assert any("assert_stmt" in paragraph for paragraph in once)
    assert "Python Software Foundation" in LICENCE


def test_no_paragraph_of_a_part_stands_in_another():
    parts = [set(paragraphs_of(part)) for part in read_splits()]
    assert not parts[0] & (parts[1] | parts[2])
    assert not parts[1] & parts[2]


def test_paragraphs_end_at_blank_lines_and_keep_their_indentation():
    text = "\nFirst\nline\n\n   >>> code\n \n\t\nLast\n\n"
    assert paragraphs_of(text) == ["First\nline", "   >>> code", "Last"]
    assert paragraphs_of(" \n\n") == []


def test_a_repeat_may_differ_in_white_space_and_underline():
    paragraphs = ["Lambdas\n*****", "a  b", "Lambdas\n=====", "a\n  b", "Lambdas", "a c"]
    assert without_repeats(paragraphs) == ["Lambdas\n*****", "a  b", "a c"]


@given(st.lists(st.text("abc", min_size=1, max_size=30), min_size=12, max_size=40))
def test_the_parts_are_the_text_in_order(paragraphs):
    parts = split_text(paragraphs, val_share=0.3, test_share=0.3)
    assert "".join(parts) == "".join(paragraph + "\n\n" for paragraph in paragraphs)
    assert all(part.endswith("\n\n") for part in parts)


def test_a_paragraph_belongs_to_the_part_in_which_it_begins():
    paragraphs = [letter * 8 for letter in "abcdefghij"]  # ten characters each
    parts = split_text(paragraphs, val_share=0.2, test_share=0.3)
    assert [len(part) for part in parts] == [50, 20, 30]
    parts = split_text(paragraphs, val_share=0.25, test_share=0.3)
    assert [len(part) for part in parts] == [50, 20, 30]  # the fifth begins before 45 %


def test_a_file_of_ones_own_is_read(tmp_path):
    path = tmp_path / "own.txt"
    path.write_text("\n\n".join(f"paragraph {i} ß" for i in range(20)) + "\n\nparagraph 3 ß")
    splits = read_splits(path)
    assert "".join(splits).count("paragraph 3 ß") == 1
    assert splits.test.strip().splitlines()[-1] == "paragraph 19 ß"


def test_shared_windows_are_counted_by_hand():
    assert shared_windows("abcd", "xbcdx", length=2) == pytest.approx(2 / 3)  # bc, cd, not ab
    assert shared_windows("abcd", "abcd", length=4) == 1
    assert shared_windows("aaaa", "b", length=3) == 0


@pytest.mark.usefixtures("unchecked_shapes")
@pytest.mark.parametrize(
    ("call", "error", "says"),
    [
        (lambda: split_text(["a"] * 9, val_share=0.6, test_share=0.4), ValueError, "must leave"),
        (lambda: split_text(["a"] * 9, val_share=-0.1), ValueError, "val_share must be at least 0"),
        (lambda: split_text(["a"] * 9, test_share="x"), TypeError, "test_share must be a number"),
        (lambda: split_text(["a", "b"]), ValueError, "fill three parts, got 2"),
        (lambda: shared_windows("ab", "ab", length=3), ValueError, "at least length=3"),
        (lambda: shared_windows("ab", "ab", length=0), ValueError, "length must be at least 1"),
        (lambda: read_splits("/no/such/file"), FileNotFoundError, "no/such"),
    ],
)
def test_wrong_settings_are_refused(call, error, says):
    with pytest.raises(error, match=says):
        call()
