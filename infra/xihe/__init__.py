"""Projects of the xihe platform."""
