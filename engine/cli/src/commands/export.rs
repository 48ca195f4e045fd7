//! `export`: an artifact as a file that other systems read.

mod lines;

use std::{
    io::{self, BufWriter, Write},
    path::Path,
};

use ablate_cache::{OutputRecord, Store};
use flate2::{Compression, write::GzEncoder};
use serde_json::json;

use self::lines::Layout;
use crate::{
    args::Export,
    commands::artifact::{Found, find},
    error::CliError,
    print,
};

/// Writes the rows of a node's output.
pub(crate) fn export(args: &Export, store: &Store, json: bool) -> Result<(), CliError> {
    let Found { node, output } = find(&args.artifact, store)?;
    let name = args.output.to_string_lossy();
    let plain = name.strip_suffix(".gz").or_else(|| name.strip_suffix(".zst"));
    let ending = plain.unwrap_or(&name).rsplit('.').next().unwrap_or_default();
    let tag = args.tag.as_deref().unwrap_or(&node);
    let rows = if ending == "parquet" && !output.kind.is_tree() {
        if plain.is_some() {
            return Err(CliError::Usage(format!(
                "{name}: Parquet is packed already: give --output a name that ends in .parquet"
            )));
        }
        copy(&args.output, store, &output)?
    } else {
        let layout = Layout::of(output.kind, ending, tag).map_err(CliError::Usage)?;
        write(&args.output, &layout, store, &output)?
    };
    if json {
        print::json(&json!({"file": args.output, "kind": output.kind, "rows": rows}));
    } else {
        print::message(&format!("{rows} rows to {}", args.output.display()));
    }
    Ok(())
}

/// Copies the file of a table, its bytes looked at.
fn copy(path: &Path, store: &Store, output: &OutputRecord) -> Result<u64, CliError> {
    drop(store.read_parts(output)?);
    whole(path, |partial| {
        fs_err::copy(store.object_path(output.file), partial).map_err(failed)?;
        Ok(output.rows.unwrap_or(0))
    })
}

/// Writes a table line by line.
fn write(path: &Path, layout: &Layout, store: &Store, output: &OutputRecord) -> Result<u64, CliError> {
    let parts = store.read_parts(output)?;
    whole(path, |partial| {
        let mut file = Packed::create(partial, path).map_err(failed)?;
        let mut rows = 0;
        file.write_all(layout.head().as_bytes()).map_err(failed)?;
        for part in parts {
            let part = part?;
            let text = layout.lines(&part).map_err(CliError::Failed)?;
            file.write_all(text.as_bytes()).map_err(failed)?;
            rows += part.num_rows() as u64;
        }
        file.finish().map_err(failed)?;
        Ok(rows)
    })
}

/// A file has its name only once it is whole.
fn whole(path: &Path, make: impl FnOnce(&Path) -> Result<u64, CliError>) -> Result<u64, CliError> {
    let mut partial = path.as_os_str().to_owned();
    partial.push(".partial");
    let made = make(Path::new(&partial)).and_then(|rows| {
        fs_err::rename(&partial, path).map_err(failed)?;
        Ok(rows)
    });
    made.inspect_err(|_| drop(fs_err::remove_file(&partial)))
}

fn failed(error: impl std::fmt::Display) -> CliError {
    CliError::Failed(format!("error: {error}"))
}

/// A file that is packed as the ending of a name says.
enum Packed {
    Plain(BufWriter<fs_err::File>),
    Gzip(GzEncoder<BufWriter<fs_err::File>>),
    Zstd(zstd::Encoder<'static, BufWriter<fs_err::File>>),
}

impl Packed {
    fn create(path: &Path, named: &Path) -> io::Result<Self> {
        let file = BufWriter::new(fs_err::File::create(path)?);
        Ok(match named.extension().and_then(|ending| ending.to_str()) {
            Some("gz") => Self::Gzip(GzEncoder::new(file, Compression::default())),
            Some("zst") => Self::Zstd(zstd::Encoder::new(file, 0)?),
            _ => Self::Plain(file),
        })
    }

    fn finish(self) -> io::Result<()> {
        match self {
            Self::Plain(mut file) => file.flush(),
            Self::Gzip(file) => file.finish()?.flush(),
            Self::Zstd(file) => file.finish()?.flush(),
        }
    }
}

impl Write for Packed {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Self::Plain(file) => file.write(bytes),
            Self::Gzip(file) => file.write(bytes),
            Self::Zstd(file) => file.write(bytes),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        match self {
            Self::Plain(file) => file.flush(),
            Self::Gzip(file) => file.flush(),
            Self::Zstd(file) => file.flush(),
        }
    }
}
