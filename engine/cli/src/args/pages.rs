//! The arguments of the verbs that show runs as pages and plots.

use std::path::PathBuf;

use clap::Args as ClapArgs;
use clap_complete::ArgValueCandidates;

use crate::complete;

#[derive(ClapArgs)]
pub(crate) struct Report {
    /// A run's id, its first letters, its experiment's name, or `latest`
    #[arg(default_value = "latest", add = ArgValueCandidates::new(complete::runs))]
    pub(crate) run: String,
    /// The file to write
    #[arg(short, long, value_name = "FILE", default_value = "report.html")]
    pub(crate) output: PathBuf,
}

#[derive(ClapArgs)]
pub(crate) struct Plot {
    /// A run's id, its first letters, its experiment's name, or `latest`
    #[arg(add = ArgValueCandidates::new(complete::runs))]
    pub(crate) run: String,
    /// A plot, or the first of a kind: graph, scores, differences, filter, loss [default: list the plots]
    #[arg(requires = "output")]
    pub(crate) name: Option<String>,
    /// The file to write, as its ending says: .svg or .png
    #[arg(short, long, value_name = "FILE", requires = "name")]
    pub(crate) output: Option<PathBuf>,
    /// Pixels of a PNG for each of the SVG
    #[arg(long, value_name = "N", default_value_t = 2.0)]
    pub(crate) scale: f32,
}

#[cfg(feature = "serve")]
#[derive(ClapArgs)]
pub(crate) struct Serve {
    /// The address to listen on; other machines reach it only if it is not a loopback address
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1")]
    pub(crate) address: std::net::IpAddr,
    /// The port; 0 takes a free one
    #[arg(long, default_value_t = 8017)]
    pub(crate) port: u16,
    /// A name by which browsers may call this machine, besides localhost and its address; may be repeated
    #[arg(long = "host-name", value_name = "NAME")]
    pub(crate) host_names: Vec<String>,
}
