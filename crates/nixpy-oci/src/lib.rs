//! Image bytes and registries. This crate has never heard of Nix, CI or a
//! terminal: it is given trees of files and descriptions, and turns them into
//! blobs, manifests and one index, in an image layout or a registry.
//!
//! | module | subject |
//! |---|---|
//! | [`digest`], [`name`], [`platform`] | the words of the trade, parsed once |
//! | [`manifest`] | config, manifest and index documents with stable bytes |
//! | [`tarball`] | layer tars, byte for byte as Python's and Go's libraries write them |
//! | [`image`], [`layer`], [`contents`], [`compress`], [`blob`] | what an image and its layers are made from, and the making |
//! | [`config`] | what has to be known of a configuration that somebody else has written |
//! | [`finished`] | layers that somebody else has packed |
//! | [`archive`] | docker-archives, read in one pass |
//! | [`stored`] | finished images in a layout, a directory or a tar, taken as they are |
//! | [`destination`], [`layout`], [`registry`] | where an image can go |
//! | [`prior`], [`ledger`], [`publish`] | sending only what is not there yet |
//! | [`load`] | the docker-archive that `docker load` and `podman load` take |
//! | [`unpack`] | an image's file system, for whoever has neither of them |

pub mod archive;
pub mod blob;
pub mod compress;
pub mod config;
pub mod contents;
pub mod destination;
pub mod digest;
pub mod finished;
#[cfg(any(test, feature = "fuzzing"))]
#[doc(hidden)]
pub mod fuzzing;
pub mod image;
pub mod layer;
pub mod layout;
pub mod ledger;
pub mod load;
pub mod manifest;
pub mod name;
pub mod platform;
pub mod prior;
pub mod publish;
pub mod registry;
pub mod rehearsal;
pub mod stored;
pub mod tarball;
pub mod unpack;
