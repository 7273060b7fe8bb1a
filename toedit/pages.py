"""Content security policy of self-contained HTML pages."""

import base64
import hashlib


def content_policy(script: str, style: str) -> str:
    """Allow a page one inline script, one inline style and embedded images, and nothing else.

    Args:
        script: text of the script element; data in an element of another type need no permission.
        style: text of the style element.
    """

    def source(text: str) -> str:
        digest = hashlib.sha256(text.encode()).digest()
        return f"'sha256-{base64.b64encode(digest).decode()}'"

    return (
        f"default-src 'none'; script-src {source(script)}; style-src {source(style)}; "
        "img-src data:; base-uri 'none'; form-action 'none'"
    )
