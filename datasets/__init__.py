"""Captures: photos with known cameras, and how they come to be known."""

if __name__ != "splat.datasets":
    raise ImportError(
        "this folder is the package splat.datasets; a bare `import datasets` found it through the project's root"
    )
