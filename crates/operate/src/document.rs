//! Files of configuration.

use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

use serde_json::Value;

use crate::failure::Failure;
use crate::yaml;
use crate::{Service, Wrong};

/// The largest file, in bytes: the largest configuration that the service takes.
const FILE_MAX: u64 = 64 << 20;

/// A configuration that was read from a file and is right.
pub struct Configured {
    /// What the file says.
    pub value: Value,
    /// The same with all defaults.
    pub complete: Value,
}

/// Reads a file, `-` for standard input, and checks it.
pub fn read(path: &Path, service: Service) -> Result<Configured, Failure> {
    let text = read_text(path)?;
    let at =
        |line: usize, problem: &str| Failure::Usage(format!("{}:{line}: {problem}", shown(path)));
    let document = yaml::read(&text).map_err(|error| at(error.line, &error.problem))?;
    match (service.complete)(document.value.clone(), None) {
        Ok(complete) => Ok(Configured {
            value: document.value,
            complete,
        }),
        Err(Wrong { field, problem }) => {
            Err(at(document.line(&field), &format!("{field} {problem}")))
        }
    }
}

/// The text of a file.
pub fn read_text(path: &Path) -> Result<String, Failure> {
    let unreadable =
        |problem: String| Failure::Usage(format!("cannot read {}: {problem}", shown(path)));
    let mut text = String::new();
    let source: Box<dyn Read> = if path == Path::new("-") {
        Box::new(std::io::stdin())
    } else {
        Box::new(File::open(path).map_err(|error| unreadable(error.to_string()))?)
    };
    let read = source.take(FILE_MAX + 1).read_to_string(&mut text);
    let read = read.map_err(|error| unreadable(error.to_string()))?;
    if read as u64 > FILE_MAX {
        return Err(unreadable(format!(
            "it is larger than {} MiB",
            FILE_MAX >> 20
        )));
    }
    Ok(text)
}

/// A file as messages name it.
pub fn shown(path: &Path) -> String {
    match path == Path::new("-") {
        true => "standard input".into(),
        false => path.display().to_string(),
    }
}

/// The flag that names a file.
#[derive(Debug, clap::Args)]
pub struct FileArg {
    /// The file of configuration, in YAML or JSON; - is standard input
    #[arg(long, short, value_name = "FILE")]
    pub file: PathBuf,
}
