//! Processes beside this one, each on a device of its own, that compute parts of the rows of its nodes.
//!
//! A line asks for rows: the key of a node. A line answers: the key, and `done TOKENS` or `left WHY`. Asked for the same node again, a helper goes on
//! with its next rows; an empty line says that the node is over. What a helper leaves undone, busy, broken or dead, the process
//! that asked computes: helpers can cost time, never rows.

use std::{
    io::{self, BufRead, BufReader, Write},
    process::{Child, ChildStdin, Command, Stdio},
    sync::{
        Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
        mpsc::{self, Receiver, RecvTimeoutError},
    },
    time::{Duration, Instant},
};

use ablate_core::{ActionKey, Part, StageError};

/// How long a helper may take to make its rows safe when the run is over.
const FAREWELL: Duration = Duration::from_secs(10);
/// How long to wait between two looks.
const PAUSE: Duration = Duration::from_millis(20);

/// The helpers of a run; each starts when it is first asked.
#[derive(Default)]
pub struct Helpers(Mutex<Vec<Helper>>);

struct Helper {
    command: Command,
    process: Option<Process>,
}

struct Process {
    child: Child,
    /// Closed, it tells the process to end.
    questions: Option<ChildStdin>,
    answers: Receiver<String>,
}

/// What became of the rows a helper was asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    /// All of them are kept; so many tokens were generated.
    Done(u64),
    /// They are not, or not all.
    Left(String),
}

impl Helpers {
    /// Helpers by the commands that start them, each of which reads questions and writes answers.
    pub fn new(commands: Vec<Command>) -> Self {
        let helper = |command| Helper {
            command,
            process: None,
        };
        Self(Mutex::new(commands.into_iter().map(helper).collect()))
    }

    /// The part of the rows that is left to the process that asks; `None` if nobody helps.
    pub(crate) fn own_part(&self) -> Option<Part> {
        let helpers = self.helpers().len() as u32;
        (helpers > 0).then(|| Part::new(0, helpers + 1))
    }

    /// Asks every helper for its part of the rows of `key`. One that cannot be asked is told of when the answers are read.
    pub(crate) fn ask(&self, key: ActionKey) {
        for helper in self.helpers().iter_mut() {
            if helper.ask(key).is_err() {
                helper.process = None;
            }
        }
    }

    /// Tells those who were asked that the node is over.
    pub(crate) fn rest(&self) {
        let mut helpers = self.helpers();
        let running = helpers.iter_mut().filter_map(|helper| helper.process.as_mut());
        // One that is gone is told of when it is asked.
        running.for_each(|process| process.say("").unwrap_or(()));
    }

    /// Waits for the answers of all helpers.
    ///
    /// # Errors
    /// If the run is interrupted.
    pub(crate) fn answers(&self, key: ActionKey, stop: &AtomicBool) -> Result<Vec<Answer>, StageError> {
        let mut helpers = self.helpers();
        helpers
            .iter_mut()
            .map(|helper| helper.answer(key, stop))
            .collect()
    }

    fn helpers(&self) -> MutexGuard<'_, Vec<Helper>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Helper {
    fn ask(&mut self, key: ActionKey) -> io::Result<()> {
        if self.process.is_none() {
            self.process = Some(Process::start(&mut self.command)?);
        }
        let process = self.process.as_mut().ok_or(io::ErrorKind::BrokenPipe)?;
        process.say(&key.to_string())
    }

    fn answer(&mut self, key: ActionKey, stop: &AtomicBool) -> Result<Answer, StageError> {
        let Some(process) = &self.process else {
            return Ok(Answer::Left("it cannot be started".into()));
        };
        let asked = format!("{key} ");
        loop {
            match process.answers.recv_timeout(PAUSE) {
                Ok(line) => {
                    // Another answer is to the question of a node that failed here.
                    if let Some(answer) = line.strip_prefix(&asked) {
                        return Ok(Answer::read(answer));
                    }
                }
                Err(RecvTimeoutError::Disconnected) => break,
                Err(RecvTimeoutError::Timeout) if stop.load(Ordering::Relaxed) => {
                    return Err(StageError::Cancelled);
                }
                Err(RecvTimeoutError::Timeout) => {}
            }
        }
        self.process = None;
        Ok(Answer::Left("it ended".into()))
    }
}

impl Process {
    fn start(command: &mut Command) -> io::Result<Self> {
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn()?;
        let (send, answers) = mpsc::channel();
        if let Some(out) = child.stdout.take() {
            std::thread::spawn(move || {
                let lines = BufReader::new(out).lines().map_while(Result::ok);
                lines
                    .take_while(|line| send.send(line.clone()).is_ok())
                    .for_each(drop);
            });
        }
        let questions = child.stdin.take();
        Ok(Self {
            child,
            questions,
            answers,
        })
    }
}

impl Process {
    fn say(&mut self, line: &str) -> io::Result<()> {
        let questions = self.questions.as_mut().ok_or(io::ErrorKind::BrokenPipe)?;
        writeln!(questions, "{line}")?;
        questions.flush()
    }
}

impl Drop for Process {
    /// Ends the process, at last by force: nothing it computes is waited for any more.
    fn drop(&mut self) {
        self.questions = None;
        let until = Instant::now() + FAREWELL;
        while Instant::now() < until {
            if !matches!(self.child.try_wait(), Ok(None)) {
                return;
            }
            std::thread::sleep(PAUSE);
        }
        self.child.kill().ok();
        self.child.wait().ok();
    }
}

impl Answer {
    /// As [`Answer::line`] writes it, without the key.
    fn read(text: &str) -> Self {
        let tokens = text.strip_prefix("done ").and_then(|tokens| tokens.parse().ok());
        match tokens {
            Some(tokens) => Self::Done(tokens),
            None => Self::Left(text.strip_prefix("left ").unwrap_or(text).to_owned()),
        }
    }

    /// The line that answers the question for `key`.
    pub fn line(&self, key: ActionKey) -> String {
        match self {
            Self::Done(tokens) => format!("{key} done {tokens}"),
            Self::Left(why) => format!("{key} left {}", why.replace(['\n', '\r'], " ")),
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn key() -> ActionKey {
        ActionKey(ablate_core::Digest::of(b"node"))
    }

    fn shell(script: &str) -> Command {
        let mut command = Command::new("sh");
        command.args(["-c", script]);
        command
    }

    fn answers(scripts: &[&str]) -> Vec<Answer> {
        let helpers = Helpers::new(scripts.iter().map(|script| shell(script)).collect());
        helpers.ask(key());
        helpers.answers(key(), &AtomicBool::new(false)).unwrap()
    }

    #[test]
    fn answers_are_read_as_they_are_written() {
        for answer in [Answer::Done(7), Answer::Left("done 7 times".into())] {
            let line = answer.line(key());
            assert_eq!(
                Answer::read(line.strip_prefix(&format!("{} ", key())).unwrap()),
                answer
            );
        }
        assert_eq!(
            Answer::Left("two\nlines".into()).line(key()),
            format!("{} left two lines", key())
        );
    }

    #[test]
    fn who_dies_or_cannot_start_leaves_its_rows() {
        let found = answers(&["read key; echo other done 1; echo $key done 3", "exit 1"]);
        assert_eq!(found[0], Answer::Done(3));
        assert!(matches!(&found[1], Answer::Left(_)), "{found:?}");
        let helpers = Helpers::new(vec![Command::new("/no/such/program")]);
        helpers.ask(key());
        let found = helpers.answers(key(), &AtomicBool::new(false)).unwrap();
        assert!(matches!(&found[0], Answer::Left(_)), "{found:?}");
        assert_eq!(helpers.own_part(), Some(Part::new(0, 2)));
        assert_eq!(Helpers::default().own_part(), None);
    }

    #[test]
    fn an_interrupted_run_waits_for_nobody() {
        let helpers = Helpers::new(vec![shell("cat > /dev/null")]);
        helpers.ask(key());
        let stopped = helpers.answers(key(), &AtomicBool::new(true));
        assert!(matches!(stopped, Err(StageError::Cancelled)));
    }
}
