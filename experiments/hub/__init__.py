"""Names outside of this repository, and what is known of them."""
