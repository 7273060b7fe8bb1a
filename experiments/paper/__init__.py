"""From records to numbers a reader can use: comparisons, tables, reports."""
