"""The package splat.datasets."""

if __name__ != "splat.datasets":
    raise ImportError("this folder is the package splat.datasets; a bare `import datasets` found it through the project's root")
