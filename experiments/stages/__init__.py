"""The stages, one module each: ``stage(...)`` says what it is, ``run(context)`` does it."""
