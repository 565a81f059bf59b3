//! Arguments that several commands share.

use std::net::SocketAddr;
use std::path::PathBuf;

use clap::Args;

use crate::config::{self, Flags, Loaded};

/// Where the configuration comes from, and the data.
#[derive(Clone, Debug, Default, Args)]
pub struct ConfigArgs {
    /// The configuration file.
    #[arg(long, value_name = "FILE", env = "STEADFAST_CONFIG", hide_env_values = true)]
    pub config: Option<PathBuf>,
    /// The data directory [default: steadfast-data].
    #[arg(long, value_name = "DIR")]
    pub data: Option<PathBuf>,
}

/// The same, and the listeners.
#[derive(Clone, Debug, Default, Args)]
pub struct ServerArgs {
    #[command(flatten)]
    pub config: ConfigArgs,
    /// Where the public API listens [default: 127.0.0.1:7070].
    #[arg(long, value_name = "ADDR")]
    pub listen: Option<SocketAddr>,
    /// Where the administration listens [default: 127.0.0.1:7071].
    #[arg(long, value_name = "ADDR")]
    pub admin: Option<SocketAddr>,
}

impl ConfigArgs {
    /// Reads the configuration.
    ///
    /// # Errors
    /// It is wrong.
    pub fn load(&self) -> Result<Loaded, config::Error> {
        self.load_with(Flags::default())
    }

    fn load_with(&self, flags: Flags) -> Result<Loaded, config::Error> {
        let data = self.data.as_ref().map(|path| path.display().to_string());
        let flags = flags.with("--data", "data", data);
        // A variable that is not UTF-8 cannot be a setting.
        let variables = std::env::vars_os().filter_map(|(name, value)| {
            Some((name.into_string().ok()?, value.into_string().ok()?))
        });
        config::load(&flags, self.config.as_deref(), variables)
    }
}

impl ServerArgs {
    /// Reads the configuration.
    ///
    /// # Errors
    /// It is wrong.
    pub fn load(&self) -> Result<Loaded, config::Error> {
        let text = |address: SocketAddr| address.to_string();
        let flags = Flags::default().with("--listen", "listen", self.listen.map(text)).with(
            "--admin",
            "admin",
            self.admin.map(text),
        );
        self.config.load_with(flags)
    }
}
