//! What other programs call it.

/// What a flag of xargs, GNU parallel, make or hyperfine is called here, or that it takes none.
pub fn of_other_tools(flag: &str) -> Option<&'static str> {
    // Python's have _ where flags have -.
    let name = flag.split('=').next().unwrap_or(flag).replace('_', "-");
    Some(match name.as_str() {
        "-P" | "-j" | "--jobs" | "--max-procs" | "--parallel" | "--processes" | "--threads" | "--procs"
        | "--max-workers" | "--n-jobs" | "--nprocs" | "--num-workers" | "-c" | "--cpus" => {
            "how many at once is --workers N for pool and threads, --in-flight N for process"
        }
        "-0" | "--null" | "-d" | "--delimiter" => {
            "tasks are lines: tr '\\0' '\\n' makes some, and --args-from FILE or - reads them"
        }
        "-a" | "--arg-file" | "-L" | "--parameter-list" | "--parameter-scan" => {
            "--args-from FILE has a task in each line"
        }
        "-I" | "--replace" => "{} is replaced by the task's line without being told",
        "-r" | "--min-runs" | "--max-runs" | "--repeat" | "--runs" | "--iterations" => {
            "how many rounds are timed is --rounds N"
        }
        "-w" | "--warmup-runs" => "rounds that are not timed are --warmup N",
        "-p" => "what is executed before each round is --prepare COMMAND",
        "-i" | "--ignore-failure" => "exit codes that are no failure are --success-codes LIST, such as 0,1",
        "--halt" => "what a failed task leads to is --on-failure POLICY; going on is the default",
        "-N" | "-S" => "no shell is the default; --shell has /bin/sh execute the command",
        "--joblog" | "--results" => {
            "--output DIR keeps what tasks write, --json FILE has the reason of each that failed"
        }
        "--context" | "--mp-context" | "--method" => {
            "how Python starts processes is --start fork, spawn or forkserver"
        }
        "--retries" => "--on-failure retry:N tries a task again",
        "-v" | "--verbose" | "--show-output" => {
            "all that was measured is in --json FILE; --output DIR keeps what programs write"
        }
        "--wait" | "--sleep" | "--delay" | "--latency" | "--io-time" => {
            "how long a task waits is --io-wait DURATION, such as 5ms"
        }
        "--work" | "--cpu-time" | "--cpu-work" | "--busy" | "--spin" | "--burn" => {
            "how long a task computes is --cpu DURATION, such as 1ms"
        }
        "--size" | "--payload" | "--bytes" => {
            "how large are arguments is --arg-size SIZE, and results --result-size SIZE"
        }
        "--count" | "--num-tasks" | "--requests" => "how many tasks there are is --tasks N",
        "--setup" => {
            "what is executed before each round is --prepare COMMAND; what is once, you can execute yourself"
        }
        _ => return None,
    })
}
