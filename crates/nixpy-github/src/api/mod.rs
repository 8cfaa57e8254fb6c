//! GitHub's REST API, as far as a run has anything to say there.
