//! The media types of layers that can be published as they are.
//!
//! Docker's name the same bytes otherwise: a gzip'd tar is a gzip'd tar. Types:
//! <https://github.com/opencontainers/image-spec/blob/main/media-types.md>,
//! <https://distribution.github.io/distribution/spec/manifest-v2-2/>.

use crate::manifest::media_type::{LAYER_GZIP, LAYER_TAR, LAYER_ZSTD};

const DOCKER: &str = "application/vnd.docker.image.rootfs.";

/// OCI's name of a layer's type, or what is the matter with it.
pub(super) fn layer_type(stated: &str) -> Result<&'static str, &'static str> {
    if let Some(known) = [LAYER_TAR, LAYER_GZIP, LAYER_ZSTD]
        .into_iter()
        .find(|t| *t == stated)
    {
        return Ok(known);
    }
    match stated.strip_prefix(DOCKER) {
        Some("diff.tar") => return Ok(LAYER_TAR),
        Some("diff.tar.gzip") => return Ok(LAYER_GZIP),
        Some("diff.tar.zstd") => return Ok(LAYER_ZSTD),
        _ => {}
    }
    Err(if stated.contains("+encrypted") {
        "which is encrypted: publish it with a tool that has the key"
    } else if stated.contains(".nondistributable.") || stated.contains(".foreign.") {
        "which may not be distributed: build the image on a base that may"
    } else {
        "which is not that of a layer"
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_docker_layer_is_the_oci_layer_of_the_same_bytes() {
        for (docker, oci) in [
            ("application/vnd.docker.image.rootfs.diff.tar", LAYER_TAR),
            (
                "application/vnd.docker.image.rootfs.diff.tar.gzip",
                LAYER_GZIP,
            ),
            (
                "application/vnd.docker.image.rootfs.diff.tar.zstd",
                LAYER_ZSTD,
            ),
            (LAYER_ZSTD, LAYER_ZSTD),
        ] {
            assert_eq!(layer_type(docker), Ok(oci));
        }
    }

    #[test]
    fn a_layer_that_cannot_be_published_is_told_why() {
        for (stated, why) in [
            (
                "application/vnd.docker.image.rootfs.foreign.diff.tar.gzip",
                "may not be distributed",
            ),
            (
                "application/vnd.oci.image.layer.nondistributable.v1.tar+zstd",
                "may not be distributed",
            ),
            (
                "application/vnd.oci.image.layer.v1.tar+gzip+encrypted",
                "encrypted",
            ),
            (
                "application/vnd.oci.image.layer.v1.tar+lzma",
                "not that of a layer",
            ),
            ("", "not that of a layer"),
        ] {
            let told = layer_type(stated);
            assert!(
                told.is_err_and(|told| told.contains(why)),
                "{stated}: {told:?}"
            );
        }
    }
}
