//! One export of each kind, of as little as will do.

use std::path::PathBuf;

use procbench::study::saved::Saved;

use super::Sandbox;

/// What is run, and the export that comes of it.
pub const STUDIES: [(&str, &str); 6] = [
    ("run", "-n 20 --rounds 5 -m serial,pool:workers=2 --json run.json"),
    ("sweep", "sweep --vary tasks=1,8,64 -m serial,pool:workers=2 --rounds 6 --json sweep.json"),
    ("map", "sweep --vary tasks=1,8 --vary io-wait=0,1ms,2ms -m serial,process --rounds 6 --json map.json"),
    (
        "crossover",
        "crossover --between serial,pool --over tasks=1..200 --time-limit 5s --rounds 12 --json crossover.json",
    ),
    ("advice", "advise -n 3 --io-wait 1ms --time-limit 30s --rounds 6 --json advice.json"),
    ("claims", "claims ordered --quick --engine native --json claims.json"),
];

/// Makes all of [`STUDIES`] in `sandbox`, and returns the names of their exports.
pub fn make_all(sandbox: &Sandbox) -> Vec<String> {
    let make = |(name, arguments): &(&str, &str)| {
        sandbox.run(format!("{arguments} --quiet").split(' ')).expect_code(0);
        format!("{name}.json")
    };
    STUDIES.iter().map(make).collect()
}

/// The export called `name` in `sandbox`.
#[track_caller]
pub fn saved(sandbox: &Sandbox, name: &str) -> Saved {
    let path: PathBuf = sandbox.path(name);
    Saved::read(&path).expect("an export")
}
