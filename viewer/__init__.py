"""The package splat.viewer."""

if __name__ != "splat.viewer":
    raise ImportError(
        "this folder is the package splat.viewer; a bare `import viewer` found it through the project's root"
    )
