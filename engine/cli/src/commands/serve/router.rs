//! Which page an address names.

use std::path::Path;

use ablate_cache::Store;
use ablate_html::message;
use ablate_serve::{Request, Response};

use super::{live, pages, rows};
use crate::error::CliError;

/// The answer to a request.
pub(super) fn answer(request: &Request, root: &Path) -> Response {
    let problem = |error: CliError| match error {
        CliError::Usage(text) => Response::html(404, message("Not found", &text)),
        other => Response::html(500, message("This page could not be made", &other.to_string())),
    };
    route(request, root).unwrap_or_else(problem)
}

fn route(request: &Request, root: &Path) -> Result<Response, CliError> {
    let store = Store::open(root)?;
    let path: Vec<&str> = request.path.iter().map(String::as_str).collect();
    let page = match path[..] {
        [] => pages::index(&store)?,
        ["diff"] => pages::comparison(&store, request)?,
        ["run", run] => pages::run(&store, run)?,
        ["run", run, "report.html"] => pages::report(&store, run)?,
        ["run", run, "node"] => pages::node(&store, run, request.value("name"))?,
        ["run", run, "rows"] => rows::rows(&store, run, request)?,
        ["run", run, "live"] => live::page(&store, run)?,
        ["run", run, "events"] => return live::events(&store, run),
        _ => return Err(CliError::Usage("there is no such page".into())),
    };
    Ok(Response::html(200, page))
}
