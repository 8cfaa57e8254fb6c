// Prints the SHA-256 of the tar that nix2container itself makes of the paths that
// ../mapped_trees_are_nix2containers.rs gives it. To be built in a GOPATH that has
// github.com/nlewo/nix2container and what its packages `nix` and `types` import.
package main

import (
	"encoding/json"
	"fmt"
	"os"

	"github.com/nlewo/nix2container/nix"
	"github.com/nlewo/nix2container/types"
)

func main() {
	var paths types.Paths
	if err := json.NewDecoder(os.Stdin).Decode(&paths); err != nil {
		panic(err)
	}
	digest, _, err := nix.TarPathsSum(paths)
	if err != nil {
		fmt.Println("refused")
		return
	}
	fmt.Println(digest.Encoded())
}
