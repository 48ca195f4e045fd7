//! `serve`: the runs of a store in a browser.

mod live;
mod pages;
mod router;
mod rows;

use std::path::Path;

use ablate_cache::Store;
use ablate_serve::Server;
use serde_json::json;

use crate::{args, error::CliError, machine, print};

/// Serves until Ctrl-C. The store is opened for each page anew, so that a server left open keeps `gc` from nothing.
pub(crate) fn serve(args: &args::Serve, root: &Path, json: bool) -> Result<(), CliError> {
    drop(Store::open(root)?);
    let server = Server::bind(args.address, args.port, &args.host_names).map_err(|error| {
        CliError::Failed(format!(
            "error: cannot listen on {}, port {}: {error}; choose another with --port",
            args.address, args.port
        ))
    })?;
    let address = format!("http://{}/", server.address());
    if json {
        print::json(&json!({"address": address, "store": root}));
    } else {
        print::message(&format!(
            "the runs of {} are at {address} (Ctrl-C ends it)",
            root.display()
        ));
    }
    if !args.address.is_loopback() {
        print::message("warning: everybody who reaches this address can read the store");
    }
    let stop = machine::flag_that_says("no more pages")?;
    server.run(&|request| router::answer(request, root), &stop);
    Ok(())
}
