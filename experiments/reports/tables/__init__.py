"""The tables of the paper: layouts, cells, comparisons, files, ledger and traces."""
