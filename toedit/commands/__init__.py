"""Commands of ``toedit``, one module per command: ``add(parser)`` and ``run(arguments)``."""
