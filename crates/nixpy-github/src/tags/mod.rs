//! Tags, labels and annotations of an image, by the rules of docker's metadata action
//! (<https://github.com/docker/metadata-action#tags-input>).
