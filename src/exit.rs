//! What the program's exit code says.

/// All tasks are done and all results agree.
pub const SUCCESS: i32 = 0;
/// A task failed, a strategy was given up, or a result was wrong.
pub const FAILURE: i32 = 1;
/// The command line or the spec is wrong.
pub const USAGE: i32 = 2;
/// This machine cannot run it: a limit, a missing engine.
pub const LIMIT: i32 = 3;
/// Something is slower than it may be (`procbench compare --fail-if-slower`).
pub const SLOWER: i32 = 4;
/// Interrupted; what was finished has been reported.
pub const INTERRUPTED: i32 = 130;
