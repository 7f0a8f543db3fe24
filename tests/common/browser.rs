//! A real browser without a window, told what to do through a pair of pipes.

use std::fs::{File, OpenOptions};
use std::io::{BufRead, BufReader, Write};
use std::os::fd::AsFd;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::signal::{self, Signal};
use nix::sys::stat::Mode;
use nix::unistd::Pid;
use serde_json::{Value, json};
use tempfile::TempDir;

/// Names of browsers that understand this.
const BROWSERS: [&str; 3] = ["chromium", "chromium-browser", "google-chrome"];

/// One that says nothing for so long does not work.
const ANSWERS_WITHIN_MILLISECONDS: u16 = 60_000;

/// A browser with one empty page. Gone, with all that it has started and written, when dropped.
pub struct Browser {
    child: Child,
    tell: File,
    hear: BufReader<File>,
    session: String,
    last: u64,
    /// What it said that was no answer.
    events: Vec<Value>,
    _folder: TempDir,
}

impl Browser {
    /// Starts the first browser that this machine has; `None` if it has none.
    pub fn start() -> Option<Self> {
        let has =
            |name: &&&str| Command::new(name).arg("--version").output().is_ok_and(|out| out.status.success());
        let name = BROWSERS.iter().find(has)?;
        let folder = tempfile::tempdir().expect("a folder for the browser");
        let path = |name: &str| folder.path().join(name);
        for pipe in ["in", "out"] {
            nix::unistd::mkfifo(&path(pipe), Mode::S_IRWXU).expect("a pipe");
        }
        // It reads its third descriptor and writes to its fourth.
        let script = "exec 3<in 4>out; exec \"$0\" --headless --no-sandbox --disable-gpu --remote-debugging-pipe \
                      --no-first-run --disable-background-networking --disable-dev-shm-usage \
                      --user-data-dir=\"$PWD/profile\" about:blank";
        let mut command = Command::new("sh");
        command
            .args(["-c", script, name])
            .current_dir(folder.path())
            .env("HOME", folder.path())
            .process_group(0);
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        let child = command.spawn().expect("a shell");
        let tell = OpenOptions::new().write(true).open(path("in")).expect("the pipe to the browser");
        let hear = BufReader::new(File::open(path("out")).expect("the pipe from the browser"));
        let (session, last, events) = (String::new(), 0, Vec::new());
        let mut browser = Self { child, tell, hear, session, last, events, _folder: folder };
        let target = browser.call("Target.createTarget", json!({"url": "about:blank"}))["targetId"].clone();
        let attached = browser.call("Target.attachToTarget", json!({"targetId": target, "flatten": true}));
        browser.session = attached["sessionId"].as_str().expect("a session").to_owned();
        for domain in ["Page", "Runtime", "Log", "Network"] {
            browser.call(&format!("{domain}.enable"), json!({}));
        }
        Some(browser)
    }

    /// Opens the file at `path` on a `medium` (`screen`, `print`) of that size, and waits until it is loaded.
    pub fn open(&mut self, path: &Path, medium: &str, (width, height): (u32, u32), colours: &str) {
        let screen = json!({"width": width, "height": height, "deviceScaleFactor": 1, "mobile": width < 600});
        self.call("Emulation.setDeviceMetricsOverride", screen);
        let features = [json!({"name": "prefers-color-scheme", "value": colours})];
        self.call("Emulation.setEmulatedMedia", json!({"media": medium, "features": features}));
        self.events.clear();
        let answer = self.call("Page.navigate", json!({"url": format!("file://{}", path.display())}));
        assert!(answer.get("errorText").is_none(), "{answer}");
        while !self.events.iter().any(|event| event["method"] == "Page.loadEventFired") {
            let event = self.next();
            self.events.push(event);
        }
    }

    /// What `script` gives on the page.
    pub fn evaluate(&mut self, script: &str) -> Value {
        let answer = self.call("Runtime.evaluate", json!({"expression": script, "returnByValue": true}));
        assert!(answer.get("exceptionDetails").is_none(), "{script}: {answer}");
        answer["result"]["value"].clone()
    }

    /// Every address that was asked for since the page was opened.
    pub fn requests(&self) -> Vec<String> {
        let requests = self.events.iter().filter(|event| event["method"] == "Network.requestWillBeSent");
        requests
            .map(|event| event["params"]["request"]["url"].as_str().unwrap_or_default().to_owned())
            .collect()
    }

    /// Everything on the console, what the browser itself has to say included.
    pub fn console(&self) -> Vec<&Value> {
        let said = ["Log.entryAdded", "Runtime.consoleAPICalled", "Runtime.exceptionThrown"];
        self.events.iter().filter(|event| said.iter().any(|method| event["method"] == *method)).collect()
    }

    fn call(&mut self, method: &str, params: Value) -> Value {
        self.last += 1;
        let mut message = json!({"id": self.last, "method": method, "params": params});
        if !self.session.is_empty() {
            message["sessionId"] = self.session.clone().into();
        }
        let mut text = message.to_string().into_bytes();
        text.push(0);
        self.tell.write_all(&text).expect("the browser listens");
        loop {
            let answer = self.next();
            if answer["id"] == self.last {
                assert!(answer.get("error").is_none(), "{method}: {answer}");
                return answer["result"].clone();
            }
            self.events.push(answer);
        }
    }

    fn next(&mut self) -> Value {
        let mut text = Vec::new();
        if self.hear.buffer().is_empty() {
            let mut fds = [PollFd::new(self.hear.get_ref().as_fd(), PollFlags::POLLIN)];
            let ready = poll(&mut fds, PollTimeout::from(ANSWERS_WITHIN_MILLISECONDS)).expect("poll");
            assert!(ready > 0, "the browser says nothing");
        }
        self.hear.read_until(0, &mut text).expect("the browser talks");
        assert_eq!(text.pop(), Some(0), "the browser has ended");
        serde_json::from_slice(&text).expect("JSON")
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        let _ = signal::killpg(Pid::from_raw(self.child.id() as i32), Signal::SIGKILL);
        let _ = self.child.wait();
    }
}
