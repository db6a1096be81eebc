//! The system's table of mounts.

use std::fs;
use std::io;
use std::os::unix::ffi::OsStringExt;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use crate::error::{Error, Result};

/// Where the table is.
pub(super) const PATH: &str = "/proc/self/mountinfo";

/// The file system type of this program's mounts.
const TYPE: &str = "fuse.arrayfs";

/// The device number of a mount. Each mount has its own.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Device {
    major: u64,
    minor: u64,
}

impl std::fmt::Display for Device {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}:{}", self.major, self.minor)
    }
}

impl Device {
    /// The device of the file at `path`.
    ///
    /// # Errors
    ///
    /// Any error of the system.
    pub fn of(path: &Path) -> io::Result<Self> {
        let device = fs::metadata(path)?.dev();
        Ok(Self { major: nix::sys::stat::major(device), minor: nix::sys::stat::minor(device) })
    }

    /// The minor number, which is unique among FUSE mounts.
    pub fn minor(&self) -> u64 {
        self.minor
    }

    pub(super) fn parse(text: &[u8]) -> Option<Self> {
        let (major, minor) = std::str::from_utf8(text).ok()?.split_once(':')?;
        Some(Self { major: major.parse().ok()?, minor: minor.parse().ok()? })
    }

    /// Its mountpoint. If there are several, the last one.
    ///
    /// # Errors
    ///
    /// If the table of mounts cannot be read.
    pub fn target(&self) -> Result<Option<PathBuf>> {
        let table = Table::read()?;
        Ok(table.0.into_iter().rfind(|mount| mount.device == *self).map(|mount| mount.target))
    }

    /// Whether it is the topmost mount on `target`.
    ///
    /// # Errors
    ///
    /// If the table of mounts cannot be read.
    pub fn is_on(&self, target: &Path) -> Result<bool> {
        Ok(Table::read()?.on(target).is_some_and(|mount| mount.device == *self))
    }

    /// Whether the system still has it: it is mounted somewhere, or a file of it is open. The kernel keeps
    /// its entry in `/sys/class/bdi` exactly as long.
    pub fn is_in_use(&self) -> bool {
        fs::exists(format!("/sys/class/bdi/{self}")).unwrap_or(false)
    }
}

/// An entry of the table.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) struct Mount {
    pub target: PathBuf,
    pub kind: String,
    pub device: Device,
}

impl Mount {
    /// Whether it is a mount of this program.
    pub fn is_ours(&self) -> bool {
        self.kind == TYPE
    }
}

/// The mounts in this process's mount namespace, in the order of mounting.
#[derive(Clone, Debug)]
pub(super) struct Table(Vec<Mount>);

impl Table {
    pub fn read() -> Result<Self> {
        let text = fs::read(PATH).map_err(|e| Error::io(PATH, "read", e))?;
        Ok(Self(text.split(|byte| *byte == b'\n').filter_map(parse).collect()))
    }

    /// The topmost mount on `target`.
    pub fn on(&self, target: &Path) -> Option<&Mount> {
        self.0.iter().rfind(|mount| mount.target == target)
    }

    /// Whether the topmost mount on `target` is one of this program.
    pub fn is_ours(&self, target: &Path) -> bool {
        self.on(target).is_some_and(Mount::is_ours)
    }

    /// This program's mounts on `target` and below it.
    pub fn ours_below<'t>(&'t self, target: &'t Path) -> impl Iterator<Item = &'t Mount> {
        self.0.iter().filter(move |mount| mount.is_ours() && mount.target.starts_with(target))
    }
}

/// Parses a line such as `36 35 98:0 /root /target options … - type source options`, see proc(5). The number
/// of options before the `-` varies.
fn parse(line: &[u8]) -> Option<Mount> {
    let mut fields = line.split(|byte| *byte == b' ');
    let device = Device::parse(fields.nth(2)?)?;
    let target = unescape(fields.nth(1)?);
    fields.find(|field| *field == b"-")?;
    let kind = String::from_utf8_lossy(fields.next()?).into_owned();
    Some(Mount { target, kind, device })
}

/// Replaces octal escapes such as `\040`. The table has them for spaces, tabs, newlines and backslashes.
fn unescape(field: &[u8]) -> PathBuf {
    let mut bytes = Vec::with_capacity(field.len());
    let mut rest = field;
    while let [first, after @ ..] = rest {
        let octal = after.get(..3).filter(|_| *first == b'\\');
        let value = octal.and_then(|digits| u8::from_str_radix(std::str::from_utf8(digits).ok()?, 8).ok());
        bytes.push(value.unwrap_or(*first));
        rest = if value.is_some() { &after[3..] } else { after };
    }
    std::ffi::OsString::from_vec(bytes).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_of_mounts_is_read() {
        let line = b"36 35 98:0 / /mnt/a\\040b\\134 rw,noatime master:1 - fuse.arrayfs /data/x rw,user_id=0";
        let mount = parse(line).unwrap();
        let expected =
            Mount { target: "/mnt/a b\\".into(), kind: TYPE.into(), device: Device { major: 98, minor: 0 } };
        assert_eq!(mount, expected);
        assert_eq!(parse(b""), None);
        assert_eq!(unescape(b"a\\0"), Path::new("a\\0"));
        assert!(Table::read().unwrap().on(Path::new("/proc")).is_some());
    }
}
