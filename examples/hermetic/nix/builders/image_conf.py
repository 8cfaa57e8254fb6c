"""Write the complete description of an image: what streamLayeredImage puts in
its …-conf.json, with the same keys.

Each store path becomes a layer of its own, those that most others need first
(they change least often), up to `maxLayers`; what is left shares the last."""

import json
import os

EPOCH = "1970-01-01T00:00:01+00:00"


def main() -> None:
    references = {}
    for graph in os.environ["graphs"].split():
        references.update(read_graph(graph))
    order = most_needed_first(references)
    single = int(os.environ["maxLayers"]) - 2  # the rest, and the customisation layer
    layers = [[path] for path in order[:single]] + ([order[single:]] if order[single:] else [])
    conf = {
        "architecture": os.environ["goarch"],
        "config": json.loads(os.environ["config"]),
        "os": "linux",
        "created": EPOCH,
        "mtime": EPOCH,
        "repo_tag": f"{os.environ['imageName']}:{os.environ['imageTag']}",
        "uid": 0,
        "gid": 0,
        "uname": "root",
        "gname": "root",
        "store_dir": os.environ["NIX_STORE"],
        "from_image": os.environ.get("fromImage"),
        "store_layers": layers,
        "customisation_layer": os.environ["customisationLayer"],
    }
    with open(os.environ["out"], "w") as out:
        json.dump(conf, out, indent=2)


def read_graph(file: str) -> dict[str, set[str]]:
    """Nix's exportReferencesGraph: path, deriver, number of references, references; one a line."""
    references = {}
    with open(file) as lines:
        for path in map(str.strip, lines):
            next(lines)
            count = int(next(lines))
            references[path] = {next(lines).strip() for _ in range(count)} - {path}
    return references


def most_needed_first(references: dict[str, set[str]]) -> list[str]:
    closures: dict[str, set[str]] = {}

    def closure(path: str) -> set[str]:
        if path not in closures:
            closures[path] = {path}.union(*(closure(needed) for needed in references[path]))
        return closures[path]

    users = {path: sum(path in closure(other) for other in references) for path in references}
    return sorted(references, key=lambda path: (-users[path], len(closures[path]), path))


main()
