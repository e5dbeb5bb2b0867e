//! The directory with everything that must survive the process. Only one stack may use it at a time: two stacks would
//! write to the same databases.

use std::{
    fs::{self, File, OpenOptions, TryLockError},
    io::{ErrorKind, Write as _},
    os::unix::fs::OpenOptionsExt as _,
    path::{Path, PathBuf},
};

use anyhow::{Context, bail};
use rand::Rng as _;
use tempfile::TempDir;

/// The length of a new cursor key. The template requires 32 characters or more.
const CURSOR_KEY_CHARACTERS: usize = 64;

/// An open data directory.
#[derive(Debug)]
pub struct DataDir {
    path: PathBuf,
    /// Locked while this value lives. The operating system removes the lock when the process dies, also after `kill
    /// -9`.
    _lock: File,
    /// A temporary directory, which is removed with this value. `None` if the caller named a directory.
    _temporary: Option<TempDir>,
}

impl DataDir {
    /// Opens the directory at `path` and creates it if necessary. Without a path, creates a temporary directory.
    ///
    /// # Errors
    /// If the directory cannot be written to, or if another stack uses it.
    pub fn open(path: Option<&Path>) -> anyhow::Result<Self> {
        let temporary = match path {
            Some(_) => None,
            None => {
                let made = tempfile::Builder::new().prefix("tidings-").tempdir();
                Some(made.context("cannot create a temporary directory")?)
            }
        };
        let path = path.or(temporary.as_ref().map(TempDir::path)).context("no directory")?;
        let shown = path.display();
        fs::create_dir_all(path).with_context(|| format!("cannot create the data directory {shown}"))?;
        // Databases and files in the directory are opened by absolute paths, so a later change of the current directory
        // does no harm.
        let path = path.canonicalize().with_context(|| format!("cannot use the data directory {shown}"))?;
        let lock = OpenOptions::new().write(true).create(true).truncate(false).open(path.join("lock"));
        let lock = lock.with_context(|| format!("cannot write to the data directory {shown}"))?;
        match lock.try_lock() {
            Ok(()) => Ok(Self { path, _lock: lock, _temporary: temporary }),
            Err(TryLockError::WouldBlock) => bail!("the data directory {shown} is in use by another local stack"),
            Err(TryLockError::Error(error)) => {
                Err(error).with_context(|| format!("cannot lock the data directory {shown}"))
            }
        }
    }

    /// The absolute path of the directory.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The secret that signs cursors. It is random at first and then always the same, so cursors stay valid after a
    /// restart.
    ///
    /// # Errors
    /// If the file of the secret can neither be read nor created.
    pub fn cursor_key(&self) -> anyhow::Result<String> {
        let path = self.path.join("cursor-key");
        match fs::read_to_string(&path) {
            Ok(key) if key.len() == CURSOR_KEY_CHARACTERS => return Ok(key),
            // A crash interrupted the writing of this file, so nothing was signed with this key.
            Ok(_) => {}
            Err(error) if error.kind() == ErrorKind::NotFound => {}
            Err(error) => return Err(error).with_context(|| format!("cannot read {}", path.display())),
        }
        let key: String =
            rand::rng().sample_iter(rand::distr::Alphanumeric).take(CURSOR_KEY_CHARACTERS).map(char::from).collect();
        let file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&path);
        file.and_then(|mut file| file.write_all(key.as_bytes()))
            .with_context(|| format!("cannot write {}", path.display()))?;
        Ok(key)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_second_stack_on_the_same_directory_is_refused_until_the_first_is_gone() {
        let directory = tempfile::tempdir().unwrap();
        let first = DataDir::open(Some(directory.path())).unwrap();
        let error = DataDir::open(Some(directory.path())).unwrap_err().to_string();
        assert!(error.ends_with("is in use by another local stack"), "{error}");
        drop(first);
        DataDir::open(Some(directory.path())).unwrap();
    }

    #[test]
    fn the_cursor_key_stays() {
        let directory = tempfile::tempdir().unwrap();
        let key = DataDir::open(Some(directory.path())).unwrap().cursor_key().unwrap();
        assert_eq!(key.len(), CURSOR_KEY_CHARACTERS);
        assert_eq!(DataDir::open(Some(directory.path())).unwrap().cursor_key().unwrap(), key);
        fs::write(directory.path().join("cursor-key"), "cut").unwrap();
        assert_eq!(DataDir::open(Some(directory.path())).unwrap().cursor_key().unwrap().len(), CURSOR_KEY_CHARACTERS);
    }

    #[test]
    fn a_temporary_directory_goes_with_its_stack() {
        let data = DataDir::open(None).unwrap();
        let path = data.path().to_owned();
        assert!(path.is_dir());
        drop(data);
        assert!(!path.exists());
    }

    #[test]
    fn a_path_that_cannot_be_a_directory_is_named() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let error = DataDir::open(Some(file.path())).unwrap_err();
        assert!(error.to_string().contains(&file.path().display().to_string()), "{error}");
    }
}
