//! `helper`: what `run` starts on devices beside its own. It reads keys of nodes and computes a part of their rows.

use std::{
    io::{BufRead, Write},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
        mpsc,
    },
};

use ablate_cache::Store;
use ablate_core::DeviceChoice;
use ablate_run::{Helpers, Options, Question, help};

use crate::{args::Helper, error::CliError, load, machine, places};

/// Helps until nobody asks any more.
pub(crate) fn helper(args: &Helper, store: &Store) -> Result<(), CliError> {
    let (loaded, _) = load::read_plan(&args.experiment)?;
    let stop = machine::quiet_flag()?;
    // As many processes share the CPU as there are parts; a GPU has one.
    let at_once = match args.device {
        DeviceChoice::Cpu => args.part.of() as usize,
        DeviceChoice::Cuda(_) | DeviceChoice::Metal => 1,
    };
    let options = Options {
        id: "helper",
        experiment: &loaded.experiment.name,
        log_folder: store.root().join("runs"),
        places: &loaded.places,
        device: args.device,
        helpers: Helpers::default(),
        capacity: machine::capacity(None),
        slots: machine::slots(args.device, at_once, args.memory),
        allow_leakage: &loaded.experiment.allow_leakage,
        host: places::host(),
        flush: machine::flush(&args.flush),
        stop: &stop,
    };
    let answer = |line: String| {
        let mut out = std::io::stdout();
        writeln!(out, "{line}").and_then(|()| out.flush())
    };
    let questions = Box::new(questions(stop.clone()).into_iter());
    help(
        &loaded.plan,
        store,
        &options,
        args.part,
        questions,
        Box::new(answer),
    )
    .map_err(|error| CliError::Failed(format!("error: {error}")))
}

/// Standard input as it comes: questions, and empty lines; at its end, work under way is stopped.
fn questions(stop: Arc<AtomicBool>) -> mpsc::Receiver<Option<Question>> {
    let (send, questions) = mpsc::channel();
    std::thread::spawn(move || {
        let lines = std::io::stdin().lock().lines().map_while(Result::ok);
        let asked = lines.map(|line| line.parse().ok());
        asked
            .take_while(|question| send.send(*question).is_ok())
            .for_each(drop);
        stop.store(true, Ordering::Relaxed);
    });
    questions
}
