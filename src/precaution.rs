//! What the process does before it holds a secret or a socket.

use rustix::process::{
    DumpableBehavior, Resource, Rlimit, getrlimit, set_dumpable_behavior, setrlimit,
};

/// Has no image of this process' memory written when it crashes, and none read by others of its user:
/// keys and tokens are in there. Then takes as many descriptors as the system lets it have, since each
/// connection is one.
///
/// # Errors
/// What the system refused, in one sentence; the process can go on without.
pub fn take() -> Result<(), String> {
    let undumped = set_dumpable_behavior(DumpableBehavior::NotDumpable)
        .map_err(|problem| format!("core dumps cannot be switched off: {problem}"));
    let Rlimit { maximum, .. } = getrlimit(Resource::Nofile);
    let all = Rlimit {
        current: maximum,
        maximum,
    };
    let descriptors = setrlimit(Resource::Nofile, all)
        .map_err(|problem| format!("the number of descriptors cannot be raised: {problem}"));
    undumped.and(descriptors)
}
