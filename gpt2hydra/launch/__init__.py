"""What happens between ``python train.py`` and the first step?

In this order: :mod:`.entry_points` (signals), :mod:`.programs` (the two functions), :mod:`.app` (their
decorator), :mod:`.arguments` (what is asked for), then :mod:`.run` for one run, or for a sweep :mod:`.sweep`,
:mod:`.points`, :mod:`.preflight` and :mod:`.jobs`. Both ask :mod:`.checks` before anything is made. A refusal
is a ``ConfigError``, which :mod:`.handle_errors` prints.
"""
