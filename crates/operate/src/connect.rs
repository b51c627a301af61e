//! Which Weir is spoken to, and with which token: the command line, the environment, or a profile.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::{env, fs};

use clap::Args;
use serde::Deserialize;

use crate::client::Client;
use crate::failure::Failure;
use crate::yaml;

/// The admin listener of a Weir on this machine.
const DEFAULT_URL: &str = "http://127.0.0.1:8778";

/// The longest file of profiles or tokens, in bytes.
const FILE_MAX: u64 = 1 << 20;

/// Flags of every command that speaks to a service.
#[derive(Debug, Args)]
#[command(next_help_heading = "Which Weir")]
pub struct Connect {
    /// The admin listener [default: that of the profile, or http://127.0.0.1:8778]
    #[arg(long, env = "WEIR_URL", value_name = "URL", global = true)]
    url: Option<String>,
    /// File with the token. A token can also be given in WEIR_TOKEN; it is no flag, because
    /// everybody on a machine can read the flags of its programs
    #[arg(long, env = "WEIR_TOKEN_FILE", value_name = "FILE", global = true)]
    token_file: Option<PathBuf>,
    /// File with the authorities, in PEM, one of which must have signed the service's certificate
    /// [default: the system's]
    #[arg(long, env = "WEIR_CA", value_name = "FILE", global = true)]
    ca: Option<PathBuf>,
    /// The profile to use, of the file profiles.yaml in the configuration directory of weir
    /// (~/.config/weir)
    #[arg(long, env = "WEIR_PROFILE", value_name = "NAME", global = true)]
    profile: Option<String>,
}

/// The file of profiles.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Profiles {
    /// The profile that is used if none is named.
    default: Option<String>,
    profiles: BTreeMap<String, Profile>,
}

/// One Weir.
#[derive(Debug, Default, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
struct Profile {
    url: String,
    token_file: Option<PathBuf>,
    ca: Option<PathBuf>,
}

impl Connect {
    /// A client of that Weir.
    pub fn client(&self) -> Result<Client, Failure> {
        let profile = self.profile()?;
        // A token belongs to its Weir: that of a profile is not sent to another URL.
        let (url, kept) = match (&self.url, profile) {
            (Some(url), Some(profile)) if *url != profile.url && self.profile.is_none() => {
                (url.clone(), None)
            }
            (Some(url), profile) => (url.clone(), profile),
            (None, Some(profile)) => (profile.url.clone(), Some(profile)),
            (None, None) => (DEFAULT_URL.into(), None),
        };
        let of_profile = kept.unwrap_or_default();
        let ca = self.ca.clone().or(of_profile.ca);
        let token_file = self.token_file.clone();
        let token = match (token_file, env::var("WEIR_TOKEN")) {
            (Some(file), _) => Some(read_token(&file)?),
            (None, Ok(token)) if !token.is_empty() => Some(token.trim().to_owned()),
            (None, _) => of_profile
                .token_file
                .as_deref()
                .map(read_token)
                .transpose()?,
        };
        let authorities = ca.as_deref().map(read).transpose()?;
        Client::new(&url, token.as_deref(), authorities.as_deref())
    }

    fn profile(&self) -> Result<Option<Profile>, Failure> {
        let Some(path) = profiles_path().filter(|path| path.exists()) else {
            return match &self.profile {
                None => Ok(None),
                Some(name) => Err(Failure::Usage(format!(
                    "there is no profile {name:?}: there is no file of profiles (~/.config/weir/profiles.yaml)"
                ))),
            };
        };
        let wrong = |problem: String| Failure::Usage(format!("{}: {problem}", path.display()));
        let text = read(&path)?;
        let text = String::from_utf8(text).map_err(|_| wrong("is not UTF-8".into()))?;
        let read = yaml::read(&text).map_err(|error| wrong(error.to_string()))?;
        let mut known: Profiles =
            serde_json::from_value(read.value).map_err(|error| wrong(error.to_string()))?;
        let Some(name) = self.profile.clone().or(known.default.take()) else {
            return Ok(None);
        };
        let Some(mut found) = known.profiles.remove(&name) else {
            let names: Vec<_> = known.profiles.into_keys().collect();
            return Err(wrong(format!(
                "has no profile {name:?}; it has: {}",
                names.join(", ")
            )));
        };
        // Files beside the profiles can be named without their directory.
        let beside = path.parent().unwrap_or(Path::new("."));
        for file in [&mut found.token_file, &mut found.ca].into_iter().flatten() {
            *file = beside.join(&*file);
        }
        Ok(Some(found))
    }
}

/// Where the profiles are.
fn profiles_path() -> Option<PathBuf> {
    let of = |name| env::var_os(name).filter(|value| !value.is_empty());
    let directory = of("XDG_CONFIG_HOME")
        .map(PathBuf::from)
        .or_else(|| Some(PathBuf::from(of("HOME")?).join(".config")))?;
    Some(directory.join("weir").join("profiles.yaml"))
}

fn read_token(path: &Path) -> Result<String, Failure> {
    let text = String::from_utf8(read(path)?);
    match text {
        Ok(text) if !text.trim().is_empty() => Ok(text.trim().to_owned()),
        _ => Err(Failure::Usage(format!("{} holds no token", path.display()))),
    }
}

/// Reads a small file.
fn read(path: &Path) -> Result<Vec<u8>, Failure> {
    let unreadable =
        |problem: String| Failure::Usage(format!("cannot read {}: {problem}", path.display()));
    let length = fs::metadata(path)
        .map_err(|error| unreadable(error.to_string()))?
        .len();
    if length > FILE_MAX {
        return Err(unreadable(format!("it is larger than {FILE_MAX} bytes")));
    }
    fs::read(path).map_err(|error| unreadable(error.to_string()))
}
