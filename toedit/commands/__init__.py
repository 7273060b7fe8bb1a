"""The commands of ``toedit``, one module each: ``add(parser)`` and ``run(arguments)``."""
