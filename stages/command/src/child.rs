//! The child process: started in a group of its own, watched, and ended with everything it started.

use std::{
    os::unix::process::{CommandExt, ExitStatusExt},
    path::Path,
    process::{Child, Command, ExitStatus, Stdio},
    time::{Duration, Instant},
};

use ablate_core::StageError;
use rustix::process::{Pid, Signal, kill_process_group};

/// Between two looks at the child.
const PAUSE: Duration = Duration::from_millis(20);
/// Lines of its output that an error shows.
const LINES: usize = 12;

/// Runs `command` with its output in the file `log`; an error if it does not end well, in time, or is interrupted.
pub(crate) fn run(
    mut command: Command,
    log: &Path,
    timeout: Option<Duration>,
    cancelled: &dyn Fn() -> bool,
) -> Result<(), StageError> {
    let file = fs_err::File::create(log)?.into_parts().0;
    let errors = file.try_clone()?;
    command
        .stdin(Stdio::null())
        .stdout(file)
        .stderr(errors)
        .process_group(0);
    let program = command.get_program().to_string_lossy().into_owned();
    let mut child = command.spawn().map_err(|error| {
        let help = "name a program of your PATH, or a path; files of the experiment are `{files}`";
        StageError::with_help(format!("`{program}` cannot be started: {error}"), help)
    })?;
    let began = Instant::now();
    loop {
        if let Some(status) = child.try_wait()? {
            return ended(&program, status, log);
        }
        if cancelled() {
            end(&mut child);
            return Err(StageError::Cancelled);
        }
        if let Some(limit) = timeout.filter(|limit| began.elapsed() >= *limit) {
            end(&mut child);
            let what = format!(
                "`{program}` was ended: it ran for more than {} s",
                limit.as_secs_f64()
            );
            return Err(failure(&what, log));
        }
        std::thread::sleep(PAUSE);
    }
}

/// Ends the child and all it started.
fn end(child: &mut Child) {
    if let Some(group) = Pid::from_raw(child.id() as i32) {
        kill_process_group(group, Signal::KILL).ok();
    }
    child.wait().ok();
}

fn ended(program: &str, status: ExitStatus, log: &Path) -> Result<(), StageError> {
    match (status.success(), status.code(), status.signal()) {
        (true, ..) => Ok(()),
        (_, Some(code), _) => Err(failure(&format!("`{program}` ended with code {code}"), log)),
        (_, None, signal) => {
            let signal = signal.map_or("a signal".into(), |number| format!("signal {number}"));
            Err(failure(&format!("`{program}` was killed by {signal}"), log))
        }
    }
}

fn failure(what: &str, log: &Path) -> StageError {
    match last_lines(log) {
        lines if lines.is_empty() => StageError::new(format!("{what}; it printed nothing")),
        lines => StageError::new(format!("{what}; its last lines:\n{lines}")),
    }
}

/// The last lines of the log, each behind a bar.
pub(crate) fn last_lines(log: &Path) -> String {
    let bytes = fs_err::read(log).unwrap_or_default();
    let text = String::from_utf8_lossy(&bytes);
    let lines: Vec<&str> = text.lines().collect();
    let last = &lines[lines.len().saturating_sub(LINES)..];
    last.iter()
        .map(|line| format!("  | {line}"))
        .collect::<Vec<_>>()
        .join("\n")
}
