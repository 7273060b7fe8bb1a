"""Statistics of texts, scores and edits."""
