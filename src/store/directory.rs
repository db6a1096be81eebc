//! The store on disk: listing it and opening its files without ever leaving it or being held up.
//!
//! Every path is relative to the store's root and free of symbolic links: links are followed by hand, by
//! [`Store::resolve`], and only inside the store. The kernel then enforces it at
//! every opening (`openat2`: beneath the root, no links, no other file system, which also keeps a
//! mount inside its own store from waiting for itself), so that a link put in place later leads
//! nowhere.

use std::ffi::{OsStr, OsString};
use std::fs::{self, File};
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use nix::fcntl::{OFlag, OpenHow, ResolveFlag, openat2};
use rustix::fs::{Dir, FileType};
use rustix::io::Errno;

use super::above::Above;
use super::permissions::Permissions;
use crate::error::{Error, Result};
use crate::store::generation::{FileId, Generations, is_written};
use crate::store::open_files::OpenFiles;

/// A moment, as the file system keeps it.
#[derive(Clone, Copy, Debug, Default, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct Time {
    /// Seconds since 1970.
    pub seconds: i64,
    /// Nanoseconds past the second.
    pub nanoseconds: u32,
}

impl Time {
    /// This moment.
    pub fn now() -> Self {
        Self::of(SystemTime::now())
    }

    fn of(time: SystemTime) -> Self {
        let since = time.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        Self {
            seconds: i64::try_from(since.as_secs()).unwrap_or(i64::MAX),
            nanoseconds: since.subsec_nanos(),
        }
    }

    fn new(seconds: i64, nanoseconds: i64) -> Self {
        Self { seconds, nanoseconds: u32::try_from(nanoseconds).unwrap_or(0) }
    }
}

/// Identifies a version of a file. If any field differs, the bytes may differ too.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub struct Identity {
    /// Device that holds the file.
    pub device: u64,
    /// Inode number there.
    pub inode: u64,
    /// Length in bytes.
    pub size: u64,
    /// When it was made, which tells it from another that was given its number later; zero where the file
    /// system does not know.
    pub born: Time,
    /// Last change of the bytes.
    pub modified: Time,
    /// Last change of the bytes, the owner or the mode.
    pub changed: Time,
    /// The [generation](crate::store::generation) of a file that is in use. While it is written in place, its
    /// times tell nothing, and are zero.
    pub generation: u64,
}

impl Identity {
    /// Whether both are the same file with the same bytes, whatever became of its owner and mode. A file that
    /// is written in place has the bytes of no time but now: then any version of the file will do.
    pub fn has_bytes_of(&self, other: &Self) -> bool {
        let any = |one: &Self| Self { generation: 0, changed: Time::default(), ..*one };
        let timeless = |one: &Self| Self { modified: Time::default(), ..any(one) };
        match self.is_written() || other.is_written() {
            true => timeless(self) == timeless(other),
            false => any(self) == any(other),
        }
    }

    /// Whether both are the same file at the same size, whatever became of its bytes.
    pub fn is_same_file(&self, other: &Self) -> bool {
        let facts = |one: &Self| (one.file(), one.size, one.born);
        let is_known = self.born != Time::default();
        facts(self) == facts(other) && (is_known || self.has_bytes_of(other))
    }

    /// What tells which file it is, at which size; and all else where that does not tell it from another that
    /// is given its number later.
    pub fn ttl(&self) -> Self {
        let nothing = Time::default();
        match self.born == nothing {
            true => *self,
            false => Self { modified: nothing, changed: nothing, generation: 0, ..*self },
        }
    }

    /// Which file it is, as long as it is there.
    pub fn file(&self) -> FileId {
        (self.device, self.inode)
    }

    /// Whether somebody was seen who writes in it.
    pub fn is_written(&self) -> bool {
        is_written(self.generation)
    }

    /// The same at this generation.
    pub fn at(self, generation: u64) -> Self {
        match is_written(generation) {
            true => Self { modified: Time::default(), changed: Time::default(), generation, ..self },
            false => Self { generation, ..self },
        }
    }
}

/// The type of a file in the store.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum FileKind {
    /// A regular file.
    File,
    /// A directory.
    Directory,
    /// A symbolic link.
    Link,
    /// A FIFO, socket or device, as the word for it.
    Special(&'static str),
}

impl FileKind {
    fn of(kind: fs::FileType) -> Self {
        match kind {
            kind if kind.is_file() => Self::File,
            kind if kind.is_dir() => Self::Directory,
            kind if kind.is_symlink() => Self::Link,
            kind if kind.is_fifo() => Self::Special("a FIFO"),
            kind if kind.is_socket() => Self::Special("a socket"),
            kind if kind.is_block_device() => Self::Special("a block device"),
            _ => Self::Special("a character device"),
        }
    }

    /// The kind that a listing tells; none where it does not.
    fn listed(kind: FileType) -> Option<Self> {
        Some(match kind {
            FileType::RegularFile => Self::File,
            FileType::Directory => Self::Directory,
            FileType::Symlink => Self::Link,
            FileType::Fifo => Self::Special("a FIFO"),
            FileType::Socket => Self::Special("a socket"),
            FileType::BlockDevice => Self::Special("a block device"),
            FileType::CharacterDevice => Self::Special("a character device"),
            FileType::Unknown => return None,
        })
    }

    /// The kind in words, for messages.
    pub const fn name(self) -> &'static str {
        match self {
            Self::File => "a regular file",
            Self::Directory => "a directory",
            Self::Link => "a symbolic link",
            Self::Special(name) => name,
        }
    }
}

/// The facts that the file system has about a file.
#[derive(Clone, Copy, Debug)]
pub struct Stat {
    /// Kind of file.
    pub kind: FileKind,
    /// Which version of it.
    pub identity: Identity,
    /// Owner and mode.
    pub permissions: Permissions,
    /// Last access.
    pub accessed: Time,
    /// Blocks of 512 bytes that it takes.
    pub blocks: u64,
}

impl Stat {
    /// The facts in a standard-library metadata.
    pub fn of(meta: &fs::Metadata) -> Self {
        Self {
            kind: FileKind::of(meta.file_type()),
            identity: Identity {
                device: meta.dev(),
                inode: meta.ino(),
                size: meta.size(),
                born: meta.created().map_or(Time::default(), Time::of),
                modified: Time::new(meta.mtime(), meta.mtime_nsec()),
                changed: Time::new(meta.ctime(), meta.ctime_nsec()),
                generation: 0,
            },
            permissions: Permissions { mode: meta.mode() & 0o7777, uid: meta.uid(), gid: meta.gid() },
            accessed: Time::new(meta.atime(), meta.atime_nsec()),
            blocks: meta.blocks(),
        }
    }

    /// Facts of a file that is computed from this file and `other`: the latest times, and the permissions
    /// that both give.
    #[must_use]
    pub fn and(mut self, other: &Self) -> Self {
        self.permissions = self.permissions.and(&other.permissions);
        self.identity.modified = self.identity.modified.max(other.identity.modified);
        self.identity.changed = self.identity.changed.max(other.identity.changed);
        self.accessed = self.accessed.max(other.accessed);
        self
    }
}

/// Where a file system keeps the access control list of a file.
const ACCESS_LIST: &str = "system.posix_acl_access";

/// One name in a directory of the store.
#[derive(Clone, Debug)]
pub struct Name {
    /// The file name, byte for byte.
    pub name: OsString,
    /// What stands there, links not followed.
    pub kind: FileKind,
}

/// The root directory of a store.
#[derive(Debug)]
pub struct Store {
    root: OwnedFd,
    path: PathBuf,
    /// The path that it was opened by, absolute: links in it may have it too.
    pub(super) given: PathBuf,
    above: Above,
    /// The identity of the root when it was opened.
    found: Stat,
    open_files: OpenFiles,
    generations: Generations,
}

impl Store {
    /// Opens the directory `path` as a store. Nothing below it is looked at yet.
    pub fn open(path: impl AsRef<Path>) -> Result<Self> {
        let given = path.as_ref();
        let path = fs::canonicalize(given).map_err(|e| Error::io(given, "open the store", e))?;
        let meta = fs::metadata(&path).map_err(|e| Error::io(given, "open the store", e))?;
        if !meta.is_dir() {
            return Err(Error::invalid(given, "store", "a directory", FileKind::of(meta.file_type()).name()));
        }
        let fail = |e| Error::io(given, "open the store", e);
        let root = OwnedFd::from(File::open(&path).map_err(fail)?);
        let above = Above::new(root.as_fd()).map_err(fail)?;
        let (given, found) = (std::path::absolute(given).map_err(fail)?, Stat::of(&meta));
        Ok(Self {
            root,
            path,
            given,
            above,
            found,
            open_files: OpenFiles::default(),
            generations: Generations::default(),
        })
    }

    /// The store's directory, absolute and free of links.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The files of the store that are open.
    pub fn open_files(&self) -> &OpenFiles {
        &self.open_files
    }

    /// The generations of the files that are open.
    pub fn generations(&self) -> &Generations {
        &self.generations
    }

    /// The descriptor of the root directory.
    pub fn as_fd(&self) -> impl AsFd + '_ {
        self.root.as_fd()
    }

    /// Facts of the root directory. Its permissions are restricted by the current ones of the directories
    /// above it, because every reader of the store must pass them.
    pub fn stat_root(&self) -> Result<Stat> {
        let mut stat = self.stat(Path::new(""))?;
        let Ok(above) = self.above.permissions(self.root.as_fd()) else {
            stat.permissions.mode = 0;
            return Ok(stat);
        };
        let own = stat.permissions;
        stat.permissions = above.iter().fold(own, |permissions, above| permissions.behind(above));
        // Of who mounts it is known that all of them let them through, whichever class they are of there.
        if own.is_own() {
            stat.permissions.mode |= own.mode & 0o700;
        }
        Ok(stat)
    }

    /// Facts of the root directory, or what was known of it at first where it cannot be looked at any more.
    pub fn last_known_root(&self) -> Stat {
        self.stat(Path::new("")).unwrap_or(self.found)
    }

    /// Whether the way to the store is closed to this program's user: by its root, or by a directory above.
    pub fn is_shut(&self) -> bool {
        let is_open = || self.stat_root().is_ok_and(|stat| stat.permissions.let_us_in());
        // Nothing is closed to root.
        !nix::unistd::geteuid().is_root() && self.above.is_shut(|| !is_open())
    }

    /// Facts of a file or directory of the store, without opening it. Its permissions are restricted by its
    /// access control list, if it has one.
    pub fn stat(&self, path: &Path) -> Result<Stat> {
        let (file, mut stat) = self.look_at(path)?;
        stat.permissions = narrowed(stat.permissions, stat.kind, &descriptor_path(&file));
        Ok(stat)
    }

    /// Which version of a file stands there, without opening it.
    pub fn identity(&self, path: &Path) -> Result<Identity> {
        Ok(self.look_at(path)?.1.identity)
    }

    /// The type of the file at `path`, without following links. `None` if there is none. If it cannot be
    /// determined, it counts as a regular file, and the attempt to open it gives the reason.
    pub fn kind(&self, path: &Path) -> Option<FileKind> {
        match self.open_beneath(path, OFlag::O_PATH | OFlag::O_NOFOLLOW, "look at") {
            Ok(file) => {
                file.metadata().map_or(Some(FileKind::File), |meta| Some(FileKind::of(meta.file_type())))
            }
            // Another file system is mounted there.
            Err(Error::Refused { .. }) => Some(FileKind::Directory),
            Err(Error::Io { source, .. })
                if matches!(
                    source.raw_os_error(),
                    Some(libc::ENOENT | libc::ENOTDIR | libc::ENAMETOOLONG)
                ) =>
            {
                None
            }
            Err(_) => Some(FileKind::File),
        }
    }

    /// Opens a regular file for reading. A FIFO or a device is refused, without waiting for it.
    pub fn open_file(&self, path: &Path) -> Result<(File, Identity)> {
        let flags = OFlag::O_RDONLY | OFlag::O_NOFOLLOW | OFlag::O_NONBLOCK | OFlag::O_NOCTTY;
        // A look first: opening a device may have effects of its own.
        regular(path, self.look_at(path)?.1.kind)?;
        let file = self.open_beneath(path, flags, "open")?;
        let stat = stat_of(&file, path)?;
        regular(path, stat.kind)?;
        Ok((file, self.at_generation(stat.identity)))
    }

    /// Opens a directory of the store.
    pub fn open_directory(&self, path: &Path) -> Result<File> {
        self.open_beneath(path, OFlag::O_RDONLY | OFlag::O_DIRECTORY | OFlag::O_NOFOLLOW, "list")
    }

    /// The names in a directory of the store, in no order.
    pub fn list(&self, path: &Path) -> Result<Vec<Name>> {
        let fail = |e: Errno| Error::io(path, "list", e.into());
        // Not by the standard library, which may look at a name that another file system is mounted on.
        let mut entries = Dir::new(self.open_directory(path)?).map_err(fail)?;
        let mut names = Vec::new();
        while let Some(entry) = entries.read() {
            let entry = entry.map_err(fail)?;
            let name = OsStr::from_bytes(entry.file_name().to_bytes()).to_owned();
            if name == "." || name == ".." {
                continue;
            }
            match self.kind_of(&path.join(&name), entry.file_type()) {
                Ok(kind) => names.push(Name { name, kind }),
                Err(error) if error.is_not_found() => {}
                Err(error) => return Err(error),
            }
        }
        Ok(names)
    }

    /// The kind of what stands there, which some file systems do not tell in a listing.
    fn kind_of(&self, path: &Path, listed: FileType) -> Result<FileKind> {
        match FileKind::listed(listed) {
            Some(kind) => Ok(kind),
            None => match self.look_at(path) {
                // Something is mounted there; looking at it again says so.
                Err(Error::Refused { .. }) => Ok(FileKind::Directory),
                found => Ok(found?.1.kind),
            },
        }
    }

    /// A file or directory, as an `O_PATH` descriptor, and its facts, without regard to access control lists.
    pub(super) fn look_at(&self, path: &Path) -> Result<(File, Stat)> {
        let file = match path.as_os_str().is_empty() {
            // Even where nobody may search it.
            true => File::from(self.root.try_clone().map_err(|e| Error::io(".", "look at", e))?),
            false => self.open_beneath(path, OFlag::O_PATH | OFlag::O_NOFOLLOW, "look at")?,
        };
        let mut stat = stat_of(&file, path)?;
        stat.identity = self.at_generation(stat.identity);
        Ok((file, stat))
    }

    /// The same at the generation that the file has now.
    fn at_generation(&self, identity: Identity) -> Identity {
        identity.at(self.generations.look(identity.file()))
    }

    fn open_beneath(&self, path: &Path, flags: OFlag, action: &'static str) -> Result<File> {
        let resolve =
            ResolveFlag::RESOLVE_BENEATH | ResolveFlag::RESOLVE_NO_SYMLINKS | ResolveFlag::RESOLVE_NO_XDEV;
        let how = OpenHow::new().flags(flags | OFlag::O_CLOEXEC).resolve(resolve);
        let beneath = if path.as_os_str().is_empty() { Path::new(".") } else { path };
        loop {
            match openat2(&self.root, beneath, how) {
                Ok(fd) => return Ok(File::from(fd)),
                // The kernel could not rule out a race with a rename; it asks to try again.
                Err(nix::Error::EAGAIN | nix::Error::EINTR) => {}
                Err(nix::Error::EMFILE | nix::Error::ENFILE) if self.open_files.make_room() => {}
                Err(nix::Error::EXDEV) => {
                    return Err(Error::refused(path, "another file system is mounted there"));
                }
                Err(errno) => return Err(Error::io(beneath, action, io::Error::from(errno))),
            }
        }
    }
}

/// These permissions of the file at `path`, restricted by its access control list, if it has one.
pub(super) fn narrowed(permissions: Permissions, kind: FileKind, path: &Path) -> Permissions {
    let is_closed = permissions.mode & 0o077 == 0;
    if is_closed || !matches!(kind, FileKind::File | FileKind::Directory) {
        return permissions;
    }
    let mut list = [0; 4096];
    match rustix::fs::getxattr(path, ACCESS_LIST, &mut list) {
        Ok(length) => permissions.with_acl(&list[..length]),
        // No list, and a file system that knows none.
        Err(Errno::NODATA | Errno::OPNOTSUPP) => permissions,
        // One that is too long, or cannot be read: then only the owner surely may.
        Err(_) => permissions.with_acl(&[]),
    }
}

fn stat_of(file: &File, path: &Path) -> Result<Stat> {
    Ok(Stat::of(&file.metadata().map_err(|e| Error::io(path, "look at", e))?))
}

/// The path of what is open, whatever its name is by now.
pub(super) fn descriptor_path(file: &File) -> PathBuf {
    format!("/proc/self/fd/{}", std::os::fd::AsRawFd::as_raw_fd(file)).into()
}

fn regular(path: &Path, kind: FileKind) -> Result<()> {
    match kind {
        FileKind::File => Ok(()),
        other => Err(Error::invalid(path, "kind of file", FileKind::File.name(), other.name())),
    }
}

/// `path` with `suffix` appended to its last name (`x.y` and `.yaml` make `x.y.yaml`).
pub fn with_suffix(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    name.into()
}

/// The name without `suffix`, if the rest is a valid name of a directory.
pub fn stem<'n>(name: &'n OsStr, suffix: &str) -> Option<&'n OsStr> {
    let stem = name.as_bytes().strip_suffix(suffix.as_bytes())?;
    (!matches!(stem, b"" | b"." | b"..")).then(|| OsStr::from_bytes(stem))
}
