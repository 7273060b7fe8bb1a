"""The tables of the paper: ours beside what is printed, compared, traced and written down."""
