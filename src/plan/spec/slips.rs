//! What is said of a spec that a parser refuses, in the words of whoever wrote it: which key was meant, and where it belongs.

use crate::mode::Mode;
use crate::plan::draft::{RunDraft, StrategyDraft, WorkloadDraft, closest, closest_setting, of_other_tools};

/// A table of a spec.
struct Table {
    name: &'static str,
    /// How it begins.
    header: &'static str,
    /// The keys that it may have; none of one whose keys are flags.
    keys: &'static [&'static str],
}

const TABLES: [Table; 4] = [
    Table { name: "workload", header: "[workload]", keys: WorkloadDraft::KEYS },
    Table { name: "run", header: "[run]", keys: RunDraft::KEYS },
    Table { name: "strategy", header: "[[strategy]]", keys: StrategyDraft::KEYS },
    Table { name: "vary", header: "[vary]", keys: &[] },
];

/// What the parser says in `message` of the piece `found` of a spec, in other words where there are better ones.
pub(super) fn in_words(message: &str, found: &str) -> String {
    let better = if let Some((key, known)) = refused("unknown field", message) {
        Some(unknown_key(key, &known))
    } else if let Some((value, known)) = refused("unknown variant", message) {
        Some(unknown_value(value, &known))
    } else if message == "invalid type: map, expected a sequence" && found.starts_with("[strategy]") {
        Some("there may be several strategies: expected [[strategy]], in two brackets, before each".into())
    } else {
        let rest =
            message.strip_prefix("invalid type: ").and_then(|rest| rest.strip_suffix(", expected a boolean"));
        rest.map(|found| format!("found the {found}: expected true or false, without quotes"))
    };
    better.unwrap_or_else(|| message.to_owned())
}

/// What was refused, and what is known in its place, where `message` begins with `what`.
fn refused<'a>(what: &str, message: &'a str) -> Option<(&'a str, Vec<&'a str>)> {
    let (found, known) = message.strip_prefix(what)?.split_once(", expected ")?;
    let known = known.split('`').skip(1).step_by(2).collect();
    Some((found.trim().trim_matches('`'), known))
}

fn unknown_key(key: &str, known: &[&str]) -> String {
    let name = key.replace('-', "_");
    let here = TABLES.iter().find(|table| table.keys == known).map(|table| table.header);
    let elsewhere = || TABLES.iter().filter(|table| Some(table.header) != here);
    let place = here.map_or_else(String::new, |header| format!(" in {header}"));
    if known.contains(&name.as_str()) {
        return format!("unknown key '{key}'{place}: keys have _ where flags have -, so expected {name}");
    }
    if let Some(Table { header, .. }) = elsewhere().find(|table| table.keys.contains(&name.as_str())) {
        return format!("unknown key '{key}'{place}: expected {name} below {header}");
    }
    if let Some(tip) = of_other_tools(&format!("--{key}")) {
        return format!("unknown key '{key}'{place}: {tip}, and keys are named as flags, with _ for -");
    }
    if let Some(close) = closest_setting(&name, known) {
        let table = TABLES.iter().find(|table| here.is_none() && table.name == close);
        let meant = table.map_or(close, |table| table.header);
        return format!("unknown key '{key}'{place} (did you mean {meant}?)");
    }
    let far = elsewhere().find_map(|table| Some((table.header, closest(&name, table.keys)?)));
    if let Some((header, close)) = far {
        return format!("unknown key '{key}'{place} (did you mean {close}, below {header}?)");
    }
    format!("unknown key '{key}'{place}: expected {}", known.join(", "))
}

fn unknown_value(value: &str, known: &[&str]) -> String {
    let mut several = value.split(',').map(str::trim);
    let are_modes = known.iter().all(|name| Mode::ALL.iter().any(|mode| mode.name() == *name));
    if are_modes && value.contains(',') && several.all(|part| known.contains(&part)) {
        return format!(
            "'{value}' are several, of which each needs a table of its own: expected one of them, as in mode = \"{}\"",
            known[0]
        );
    }
    let hint = closest(value, known).map_or_else(String::new, |close| format!(" (did you mean {close}?)"));
    format!("unknown value '{value}'{hint}: expected {}", known.join(", "))
}

#[cfg(test)]
mod tests {
    use crate::plan::spec::from_toml;

    #[test]
    fn slips_of_the_pen_are_answered_with_what_was_meant() {
        for (spec, expected) in [
            ("[workload]\ntask = 1", "unknown key 'task' in [workload] (did you mean tasks?)"),
            ("[workload]\nargs-from = 'x'", "keys have _ where flags have -, so expected args_from"),
            ("[workload]\nsucces_codes = [0]", "(did you mean success_codes?)"),
            ("[workload]\nrounds = 5", "unknown key 'rounds' in [workload]: expected rounds below [run]"),
            ("[run]\ntasks = 5", "unknown key 'tasks' in [run]: expected tasks below [workload]"),
            ("[run]\nmode = 'pool'", "expected mode below [[strategy]]"),
            ("[run]\nchnuk = 2", "unknown key 'chnuk' in [run] (did you mean chunk, below [[strategy]]?)"),
            ("cpu = '1ms'", "unknown key 'cpu': expected cpu below [workload]"),
            ("[[strategy]]\nchunksize = 5", "(did you mean chunk?)"),
            ("[[strategy]]\nmax_workers = 5", "how many at once is --workers N for pool"),
            ("[workload]\nwait = '5ms'", "how long a task waits is --io-wait DURATION"),
            ("[[strategies]]\nmode = 'pool'", "unknown key 'strategies' (did you mean [[strategy]]?)"),
            ("[strategy]\nmode = 'pool'", "expected [[strategy]], in two brackets, before each"),
            (
                "[run]\nnothing_like_it_at_all = 1",
                "unknown key 'nothing_like_it_at_all' in [run]: expected rounds, ",
            ),
            ("[[strategy]]\nmode = 'poool'", "unknown value 'poool' (did you mean pool?): expected serial, "),
            (
                "[[strategy]]\nmode = 'pool,process'",
                "'pool,process' are several, of which each needs a table of its own",
            ),
            ("[workload]\nio = 'red'", "unknown value 'red' (did you mean read?): expected sleep, "),
            ("[workload]\nshell = 'yes'", "found the string \"yes\": expected true or false, without quotes"),
        ] {
            let said = from_toml(spec, "spec.toml").unwrap_err();
            assert!(said.contains(expected), "{expected}\nis not in\n{said}");
            assert!(said.contains("--> spec.toml:"), "{said}");
        }
    }

    #[test]
    fn exit_codes_are_written_as_a_list_or_as_they_are_typed() {
        for codes in ["[0, 1]", "'0,1'"] {
            let spec = format!("[workload]\ncommand = 'true'\nsuccess_codes = {codes}");
            let draft = from_toml(&spec, "spec.toml").unwrap();
            assert_eq!(draft.workload.success_codes, Some("0,1".parse().unwrap()), "{codes}");
        }
        let said = from_toml("[workload]\nsuccess_codes = 'all'", "spec.toml").unwrap_err();
        assert!(said.contains("no list of exit codes"), "{said}");
    }
}
