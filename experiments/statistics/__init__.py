"""Statistics of corpora: what stages measured of each document, as estimates with intervals."""
