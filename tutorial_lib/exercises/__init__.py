"""Checks for the reader's answers: one file a chapter, each check with a hint.

In a chapter::

    from tutorial_lib.exercises.chapter_11 import check

    check(1, my_answer)
"""
