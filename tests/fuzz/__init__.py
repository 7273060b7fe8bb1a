"""A seeded campaign of odd inputs: every command must end well, or refuse in one line.

A generator per kind makes cases, each of files and commands. A case runs in a sandbox, in processes
that are forked from a warm one. ``make fuzz`` runs them all, ``tests/test_fuzz.py`` a few.
"""
