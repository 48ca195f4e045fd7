//! Processes beside this one, each on a device of its own, that compute parts of the rows of its nodes.
//!
//! A line asks for rows: the key of a node, and which of its memoised maps. A line answers: the key, and `done TOKENS` or `left WHY`. Asked for a
//! later map of the same node, a helper goes on from where it is; an empty line says that the node is over. What a helper
//! leaves undone, busy, broken or dead, the process that asked computes: helpers can cost time, never rows.

use std::{
    fmt,
    io::{self, BufRead, BufReader, Write},
    process::{Child, ChildStdin, Command, Stdio},
    str::FromStr,
    sync::{
        Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
        mpsc::{self, Receiver, RecvTimeoutError},
    },
    time::{Duration, Instant},
};

use ablate_core::{ActionKey, Part, StageError};

/// How long helpers may take to make their rows safe when nobody asks any more.
const FAREWELL: Duration = Duration::from_secs(10);
/// How long to wait between two looks.
const PAUSE: Duration = Duration::from_millis(20);

/// What a helper is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Question {
    /// The node.
    pub key: ActionKey,
    /// Which of the node's maps over rows, from 0: a stage may have several, each of what the one before gave.
    pub map: u32,
}

impl fmt::Display for Question {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.key, self.map)
    }
}

impl FromStr for Question {
    type Err = ();

    fn from_str(line: &str) -> Result<Self, ()> {
        let (key, map) = line.split_once(' ').ok_or(())?;
        Ok(Self {
            key: ActionKey(key.parse().map_err(|_| ())?),
            map: map.parse().map_err(|_| ())?,
        })
    }
}

/// What became of the rows a helper was asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    /// All of them are kept; so many tokens were generated.
    Done(u64),
    /// They are not, or not all.
    Left(String),
}

/// The helpers of a run; each starts when it is first asked.
#[derive(Default)]
pub struct Helpers(Mutex<Vec<Helper>>);

struct Helper {
    command: Command,
    process: Option<Process>,
    /// What it was asked and has not answered, and why it could not be asked, if so.
    asked: Option<(Question, Result<(), String>)>,
    /// The node whose rows it left: it is not asked for more of them.
    left: Option<ActionKey>,
}

struct Process {
    child: Child,
    /// Closed, it tells the process to end.
    questions: Option<ChildStdin>,
    answers: Receiver<String>,
}

impl Helpers {
    /// Helpers by the commands that start them, each of which reads questions and writes answers.
    pub fn new(commands: Vec<Command>) -> Self {
        let helper = |command| Helper {
            command,
            process: None,
            asked: None,
            left: None,
        };
        Self(Mutex::new(commands.into_iter().map(helper).collect()))
    }

    /// The part of the rows that is left to the process that asks; `None` if nobody helps.
    pub(crate) fn own_part(&self) -> Option<Part> {
        let helpers = self.helpers().len() as u32;
        (helpers > 0).then(|| Part::new(0, helpers + 1))
    }

    /// Asks every helper for its part of the rows, but those that left rows of the same node.
    pub(crate) fn ask(&self, question: Question) {
        for helper in self.helpers().iter_mut() {
            helper.ask(question);
        }
    }

    /// Waits for the answers of all who were asked.
    ///
    /// # Errors
    /// If the run is interrupted.
    pub(crate) fn answers(&self, stop: &AtomicBool) -> Result<Vec<Answer>, StageError> {
        let mut helpers = self.helpers();
        let answers = helpers.iter_mut().map(|helper| helper.answer(stop));
        answers.filter_map(Result::transpose).collect()
    }

    /// Tells all that the node is over. One that has not answered works for a node that failed: it is ended.
    pub(crate) fn rest(&self) {
        for helper in self.helpers().iter_mut() {
            let said = match (&mut helper.process, helper.asked.take()) {
                (Some(process), None) => process.say(""),
                (None, _) => Ok(()),
                (Some(_), Some(_)) => Err(io::ErrorKind::BrokenPipe.into()),
            };
            if said.is_err() {
                helper.process = None;
            }
        }
    }

    fn helpers(&self) -> MutexGuard<'_, Vec<Helper>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Helpers {
    /// All hear of the end before the first is waited for.
    fn drop(&mut self) {
        let mut helpers = self.helpers();
        let processes = helpers.iter_mut().filter_map(|helper| helper.process.as_mut());
        processes.for_each(|process| process.questions = None);
    }
}

impl Helper {
    fn ask(&mut self, question: Question) {
        if self.left == Some(question.key) {
            return;
        }
        let asked = self.try_ask(question);
        if asked.is_err() {
            self.process = None;
        }
        self.asked = Some((question, asked.map_err(|error| error.to_string())));
    }

    fn try_ask(&mut self, question: Question) -> io::Result<()> {
        let process = match self.process.take() {
            Some(process) => process,
            None => Process::start(&mut self.command)?,
        };
        self.process.insert(process).say(&question.to_string())
    }

    /// The answer to what it was asked, if it was asked.
    fn answer(&mut self, stop: &AtomicBool) -> Result<Option<Answer>, StageError> {
        let Some((Question { key, .. }, asked)) = self.asked.take() else {
            return Ok(None);
        };
        let answer = match asked {
            Ok(()) => self.wait(key, stop)?,
            Err(why) => Answer::Left(why),
        };
        if let Answer::Left(_) = answer {
            self.left = Some(key);
        }
        Ok(Some(answer))
    }

    fn wait(&self, key: ActionKey, stop: &AtomicBool) -> Result<Answer, StageError> {
        let begins = format!("{key} ");
        while let Some(process) = &self.process {
            match process.answers.recv_timeout(PAUSE) {
                Ok(line) => {
                    if let Some(answer) = line.strip_prefix(&begins) {
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

    /// The line that answers a question for `key`.
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

    fn question() -> Question {
        Question {
            key: ActionKey(ablate_core::Digest::of(b"node")),
            map: 3,
        }
    }

    fn shell(script: &str) -> Command {
        let mut command = Command::new("sh");
        command.args(["-c", script]);
        command
    }

    fn helpers(scripts: &[&str]) -> Helpers {
        Helpers::new(scripts.iter().map(|script| shell(script)).collect())
    }

    fn answers(helpers: &Helpers) -> Vec<Answer> {
        helpers.ask(question());
        helpers.answers(&AtomicBool::new(false)).unwrap()
    }

    #[test]
    fn questions_and_answers_are_read_as_they_are_written() {
        let (asked, key) = (question(), question().key);
        assert_eq!(asked.to_string().parse(), Ok(asked));
        assert!(
            ["", "x", "x 1"]
                .iter()
                .all(|line| line.parse::<Question>().is_err())
        );
        for answer in [Answer::Done(7), Answer::Left("done 7 times".into())] {
            let line = answer.line(key);
            assert_eq!(
                Answer::read(line.strip_prefix(&format!("{key} ")).unwrap()),
                answer
            );
        }
        assert_eq!(
            Answer::Left("two\nlines".into()).line(key),
            format!("{key} left two lines")
        );
    }

    #[test]
    fn who_dies_or_cannot_start_leaves_its_rows_and_is_not_asked_again() {
        let all = helpers(&[
            "while read key map; do echo other done 1; echo $key done $map; done",
            "exit 1",
        ]);
        let found = answers(&all);
        assert_eq!(found[0], Answer::Done(3));
        assert!(matches!(&found[1], Answer::Left(_)), "{found:?}");
        assert_eq!(
            answers(&all),
            [Answer::Done(3)],
            "the other one left rows of this node"
        );
        let none = Helpers::new(vec![Command::new("/no/such/program")]);
        assert!(matches!(&answers(&none)[0], Answer::Left(_)));
        assert_eq!(none.own_part(), Some(Part::new(0, 2)));
        assert_eq!(Helpers::default().own_part(), None);
    }

    #[test]
    fn a_helper_of_a_failed_node_is_ended() {
        let all = helpers(&["cat > /dev/null"]);
        all.ask(question());
        all.rest();
        assert!(all.helpers()[0].process.is_none());
        let idle = helpers(&["while read key map; do echo $key done 0; done"]);
        assert_eq!(answers(&idle), [Answer::Done(0)]);
        idle.rest();
        assert!(idle.helpers()[0].process.is_some(), "it keeps its model");
    }

    #[test]
    fn an_interrupted_run_waits_for_nobody() {
        let all = helpers(&["cat > /dev/null"]);
        all.ask(question());
        assert!(matches!(
            all.answers(&AtomicBool::new(true)),
            Err(StageError::Cancelled)
        ));
    }
}
