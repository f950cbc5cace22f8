"""Parallel corpora are read line by line, tidied, and refused where they do not fit."""

from __future__ import annotations

import pytest

from tutorial_lib.experiments.translation.parallel_text import (
    read_tab_separated,
    read_two_files,
    tidy,
)


@pytest.fixture
def write(tmp_path):
    def write(name, text, encoding="utf-8"):
        path = tmp_path / name
        path.write_bytes(text.encode(encoding))
        return path

    return write


def test_two_files_are_read_line_by_line(write):
    source = write("train.en", "A dog.\nTwo  cats \n")
    target = write("train.de", "Ein Hund.\nZwei Katzen\n")
    expected = [("A dog.", "Ein Hund."), ("Two cats", "Zwei Katzen")]
    assert read_two_files(source, target) == expected
    assert read_two_files(str(source), str(target)) == expected


def test_an_empty_line_on_one_side_leaves_the_pair_out(write):
    source, target = write("s", "one\n\nthree\nfour"), write("t", "eins\nzwei\n \nvier")
    assert read_two_files(source, target) == [("one", "eins"), ("four", "vier")]
    assert read_two_files(write("a", ""), write("b", "")) == []


def test_characters_that_are_no_line_ends_do_not_shift_the_lines(write):
    source = write("s", "one\u2028still one\ntwo\x0b\n")
    assert read_two_files(source, write("t", "eins\nzwei\n")) == [
        ("one still one", "eins"),
        ("two", "zwei"),
    ]


def test_line_ends_of_windows_and_a_mark_in_front_are_taken_off(write):
    source = write("s", "one\r\ntwo\r\n", "utf-8-sig")
    assert read_two_files(source, write("t", "eins\nzwei\n")) == [("one", "eins"), ("two", "zwei")]


def test_files_of_different_lengths_are_refused(write):
    with pytest.raises(ValueError, match=r"^target must have 2 lines like source, got 1: .*t$"):
        read_two_files(write("s", "one\ntwo\n"), write("t", "eins\n"))


def test_columns_are_read_from_one_file(write):
    path = write("pairs.tsv", "Go.\tGeh.\tCC-BY\n\nHi.\tHallo!\tCC-BY\n\tleer\tx\n")
    assert read_tab_separated(path) == [("Go.", "Geh."), ("Hi.", "Hallo!")]
    assert read_tab_separated(path, source_column=1, target_column=0)[0] == ("Geh.", "Go.")
    path = write("export.tsv", "12\tGo.\t77\tGeh.\n")
    assert read_tab_separated(path, source_column=1, target_column=3) == [("Go.", "Geh.")]


def test_a_line_with_too_few_columns_is_named(write):
    path = write("pairs.tsv", "Go.\tGeh.\nHi.\n")
    with pytest.raises(
        ValueError, match=r"^path must have 2 columns on every line, got 1 on line 2"
    ):
        read_tab_separated(path)


@pytest.mark.usefixtures("unchecked_shapes")
def test_wrong_columns_are_refused(write):
    path = write("pairs.tsv", "Go.\tGeh.\n")
    with pytest.raises(ValueError, match=r"^target_column must differ from source_column, got 1"):
        read_tab_separated(path, source_column=1)
    with pytest.raises(ValueError, match=r"^source_column must be at least 0, got -1"):
        read_tab_separated(path, source_column=-1)
    with pytest.raises(TypeError, match=r"^target_column must be an integer, got str"):
        read_tab_separated(path, target_column="1")


def test_a_file_that_is_not_there_is_named(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"nothing\.tsv"):
        read_tab_separated(tmp_path / "nothing.tsv")


def test_texts_are_written_in_one_way():
    assert tidy("  cafe\u0301\u00a0 noir\t") == "caf\u00e9 noir"
