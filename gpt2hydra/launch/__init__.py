"""The programs, from the command line to the first step.

In this order: :mod:`.entry_points` (signals), :mod:`.programs` (the two functions), :mod:`.app` (their
decorator), :mod:`.arguments` (the command line), then :mod:`.run` for one run, or for a sweep :mod:`.sweep`,
:mod:`.points`, :mod:`.preflight` and :mod:`.jobs`. Both run :mod:`.checks` before anything is written. A
violation raises a ``ConfigError``, which :mod:`.handle_errors` prints.
"""
