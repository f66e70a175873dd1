//! What this sidecar knows and owes.
