//! # Hierarchy: which cgroups does this machine have?
//!
//! Three answers are found in the wild: a new machine mounts the v2 tree at `/sys/fs/cgroup`; an old one mounts a v1 tree
//! for each controller below it; a *hybrid* one does that and mounts v2 at `/sys/fs/cgroup/unified` besides. A controller
//! can serve one tree only, so on a hybrid machine v2 has what v1 left over: nothing we could use. Hence the rule: as soon
//! as any v1 tree carries a resource controller, the machine is v1 to us; processes are put into its v2 tree too, so that
//! both tell the same.
//!
//! ```text
//! /proc/self/mountinfo   36 25 0:31 /docker/ab /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory
//!                                   └ root      └ where                   └ type            └ controllers
//! /proc/self/cgroup      4:memory:/docker/ab/x      where we live, counted from the top of the whole tree
//! ```
//!
//! An absolute path is counted from the mount, a relative one from the group we live in; inside a container the mount's
//! *root* is not the top of the tree, so it is taken off what `/proc/self/cgroup` says.
//!
//! See: cgroups(7), proc_pid_mountinfo(5). Next room: [`crate::cgroup::knob`]

use super::{Cgroup, Dir};
use crate::errno::CallFailed;
use serde::{Deserialize, Serialize};
use std::path::{Component, Path, PathBuf};

/// Which of the two interfaces we drive.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Version {
    V1,
    V2,
}

/// The trees of this machine that we use.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hierarchy {
    version: Version,
    trees: Vec<Tree>,
    /// A hybrid machine's v2 tree.
    unified: Option<Tree>,
}

/// One mounted tree.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Tree {
    mounted_at: PathBuf,
    controllers: Vec<String>,
    /// Where this process lives, below the mount.
    own: PathBuf,
}

impl Tree {
    fn carries_resources(&self) -> bool {
        self.controllers.iter().any(|name| RESOURCE_CONTROLLERS.contains(&name.as_str()))
    }
}

/// The controllers whose presence in a v1 tree makes a machine v1.
const RESOURCE_CONTROLLERS: [&str; 5] = ["memory", "cpu", "pids", "devices", "freezer"];

impl Hierarchy {
    /// Looks at what is mounted.
    ///
    /// # Errors
    /// `ENOENT` when no cgroup tree is mounted at all.
    pub fn detect() -> Result<Hierarchy, CallFailed> {
        let groups = super::knob::read(Path::new("/proc/self/cgroup"))?;
        if let Some(usual) = Hierarchy::at_usual_places(Path::new("/sys/fs/cgroup"), &groups) {
            return Ok(usual);
        }
        let mounts = super::knob::read(Path::new("/proc/self/mountinfo"))?;
        Hierarchy::from_texts(&mounts, &groups)
            .ok_or_else(|| CallFailed::new("detect cgroups", vec!["/proc/self/mountinfo".into()], libc::ENOENT))
    }

    /// The trees, if all of them are where everybody mounts them: `/sys/fs/cgroup` for v2, a folder by the controllers' name
    /// below it for v1. It spares reading the list of mounts, which is what costs here. A tree is only believed when our own
    /// group is found in it; otherwise (in a container, say) the list of mounts has to tell.
    fn at_usual_places(top: &Path, own: &str) -> Option<Hierarchy> {
        let mut v1 = Vec::new();
        let mut v2 = None;
        for line in own.lines() {
            let (names, lives_in) = line.split_once(':')?.1.split_once(':')?;
            let below = inside(Path::new(lives_in));
            if names.is_empty() {
                v2 = Some(below);
                continue;
            }
            let mounted_at = top.join(names.strip_prefix("name=").unwrap_or(names));
            if !mounted_at.join(&below).join("tasks").exists() {
                return None;
            }
            v1.push(Tree { mounted_at, controllers: names.split(',').map(String::from).collect(), own: below });
        }
        let tree = |mounted_at: PathBuf, own: &Path| {
            let is_here = mounted_at.join(own).join("cgroup.procs").exists() && mounted_at.join("cgroup.controllers").exists();
            is_here.then(|| Tree { mounted_at, controllers: Vec::new(), own: own.into() })
        };
        match v2 {
            Some(below) if v1.is_empty() => {
                Some(Hierarchy { version: Version::V2, trees: vec![tree(top.into(), &below)?], unified: None })
            }
            below if v1.iter().any(Tree::carries_resources) => {
                let unified = below.and_then(|below| tree(top.join("unified"), &below));
                Some(Hierarchy { version: Version::V1, trees: v1, unified })
            }
            _ => None,
        }
    }

    /// The same from the texts of `/proc/self/mountinfo` and `/proc/self/cgroup`.
    pub fn from_texts(mountinfo: &str, own: &str) -> Option<Hierarchy> {
        let mut v1: Vec<Tree> = Vec::new();
        let mut v2 = None;
        for mount in mountinfo.lines().filter_map(Mount::parse) {
            match mount.kind {
                "cgroup2" if v2.is_none() => v2 = Some(mount.tree(Vec::new(), own)),
                "cgroup" => {
                    let controllers = mount.controllers(own);
                    // mounted twice (a bind into a chroot, say): the first one serves
                    if !controllers.is_empty() && !v1.iter().any(|tree| tree.controllers == controllers) {
                        v1.push(mount.tree(controllers, own));
                    }
                }
                _ => {}
            }
        }
        match (v1.iter().any(Tree::carries_resources), v2) {
            (true, unified) => Some(Hierarchy { version: Version::V1, trees: v1, unified }),
            (false, Some(tree)) => Some(Hierarchy { version: Version::V2, trees: vec![tree], unified: None }),
            (false, None) => None,
        }
    }

    /// A v2 tree in any folder: the tests' fake one, or `/sys/fs/cgroup/unified` of a hybrid machine.
    pub fn v2_at(folder: &Path) -> Hierarchy {
        let tree = Tree { mounted_at: folder.into(), controllers: Vec::new(), own: PathBuf::new() };
        Hierarchy { version: Version::V2, trees: vec![tree], unified: None }
    }

    /// v1 trees in the folders `folder/<controllers>`.
    pub fn v1_at(folder: &Path, controllers: &[&str]) -> Hierarchy {
        let tree = |name: &&str| Tree {
            mounted_at: folder.join(name),
            controllers: name.split(',').map(String::from).collect(),
            own: PathBuf::new(),
        };
        Hierarchy { version: Version::V1, trees: controllers.iter().map(tree).collect(), unified: None }
    }

    pub fn version(&self) -> Version {
        self.version
    }

    /// The controllers this machine offers at its top: v1's by their trees, v2's by `cgroup.controllers`.
    pub fn controllers(&self) -> Vec<String> {
        match (self.version, self.trees.first()) {
            (Version::V2, Some(tree)) => {
                let offered = super::knob::read(&tree.mounted_at.join("cgroup.controllers")).unwrap_or_default();
                offered.split_whitespace().map(String::from).collect()
            }
            _ => self.trees.iter().flat_map(|tree| tree.controllers.iter().cloned()).collect(),
        }
    }

    /// The group at `path`: absolute paths count from the top of each tree, relative ones from the group we live in.
    /// `..` never leads out of the tree.
    pub fn cgroup(&self, path: &Path) -> Cgroup {
        let dir = |tree: &Tree| {
            let from = match path.is_absolute() {
                true => tree.mounted_at.clone(),
                false => tree.mounted_at.join(&tree.own),
            };
            Dir { path: from.join(inside(path)), top: tree.mounted_at.clone(), controllers: tree.controllers.clone() }
        };
        Cgroup::new(self.version, self.trees.iter().map(dir).collect(), self.unified.as_ref().map(dir))
    }
}

/// The path without its root and with every `..` resolved against the path alone.
fn inside(path: &Path) -> PathBuf {
    let mut clean = PathBuf::new();
    for part in path.components() {
        match part {
            Component::Normal(name) => clean.push(name),
            Component::ParentDir => drop(clean.pop()),
            Component::RootDir | Component::CurDir | Component::Prefix(_) => {}
        }
    }
    clean
}

struct Mount<'a> {
    root: String,
    mounted_at: String,
    kind: &'a str,
    super_options: &'a str,
}

impl Mount<'_> {
    /// One line of mountinfo; `None` for what is no cgroup tree.
    fn parse(line: &str) -> Option<Mount<'_>> {
        let (mount, filesystem) = line.split_once(" - ")?;
        let mut filesystem = filesystem.split(' ');
        let kind = filesystem.next()?;
        if !matches!(kind, "cgroup" | "cgroup2") {
            return None;
        }
        let super_options = filesystem.nth(1).unwrap_or_default();
        let mut fields = mount.split(' ').skip(3);
        Some(Mount { root: unescape(fields.next()?), mounted_at: unescape(fields.next()?), kind, super_options })
    }

    /// The tree's controllers: those options of the mount that `/proc/self/cgroup` knows as controllers too.
    fn controllers(&self, own: &str) -> Vec<String> {
        let known: Vec<&str> =
            own.lines().filter_map(|line| line.split(':').nth(1)).flat_map(|names| names.split(',')).collect();
        self.super_options.split(',').filter(|option| known.contains(option)).map(String::from).collect()
    }

    fn tree(&self, controllers: Vec<String>, own: &str) -> Tree {
        let is_ours = |names: &str| match controllers.first() {
            None => names.is_empty(),
            Some(first) => names.split(',').any(|name| name == first),
        };
        let lives_in = own.lines().find_map(|line| {
            let mut fields = line.splitn(3, ':').skip(1);
            is_ours(fields.next()?).then(|| fields.next().unwrap_or("/").to_string())
        });
        let lives_in = lives_in.unwrap_or_else(|| "/".into());
        // seen from inside a container the mount begins at our own group: what lies above it is not ours to name
        let below = Path::new(&lives_in).strip_prefix(&self.root).unwrap_or(Path::new(""));
        Tree { mounted_at: PathBuf::from(&self.mounted_at), controllers, own: inside(below) }
    }
}

/// mountinfo writes space, tab, line break and backslash as `\040` and so on.
fn unescape(field: &str) -> String {
    ["\\040", "\\011", "\\012", "\\134"]
        .iter()
        .zip([" ", "\t", "\n", "\\"])
        .fold(field.to_string(), |text, (code, plain)| text.replace(code, plain))
}

#[cfg(test)]
mod tests {
    use super::*;

    const HYBRID: &str = "\
30 24 0:26 / /sys/fs/cgroup rw - tmpfs tmpfs rw,mode=755
31 30 0:27 / /sys/fs/cgroup/cpu,cpuacct rw,relatime - cgroup cgroup rw,cpu,cpuacct
32 30 0:28 / /sys/fs/cgroup/memory rw,relatime - cgroup cgroup rw,memory
33 30 0:29 / /sys/fs/cgroup/systemd rw,relatime - cgroup cgroup rw,xattr,name=systemd
34 30 0:30 / /sys/fs/cgroup/unified rw,relatime - cgroup2 cgroup2 rw
35 24 0:28 / /chroot/memory rw,relatime - cgroup cgroup rw,memory";
    const HYBRID_OWN: &str = "5:name=systemd:/\n4:memory:/user/7\n2:cpu,cpuacct:/\n0::/";

    #[test]
    fn a_hybrid_machine_is_v1_as_long_as_v1_has_the_controllers() {
        let found = Hierarchy::from_texts(HYBRID, HYBRID_OWN).expect("cgroups are mounted");
        assert_eq!(found.version(), Version::V1);
        assert_eq!(found.controllers(), ["cpu", "cpuacct", "memory", "name=systemd"]);
        let absolute = found.cgroup(Path::new("/minidock/a"));
        assert_eq!(absolute.dir_of("memory"), Some(Path::new("/sys/fs/cgroup/memory/minidock/a")));
        assert_eq!(absolute.dir_of("cpuacct"), absolute.dir_of("cpu"));
        assert_eq!(absolute.dir_of("pids"), None);
        let relative = found.cgroup(Path::new("a/../../b"));
        assert_eq!(relative.dir_of("memory"), Some(Path::new("/sys/fs/cgroup/memory/user/7/b")));
        assert_eq!(relative.dir_of("cpu"), Some(Path::new("/sys/fs/cgroup/cpu,cpuacct/b")));
    }

    #[test]
    fn a_machine_with_named_trees_only_is_v2() {
        let mounts = "25 23 0:22 / /sys/fs/cgroup rw - cgroup2 cgroup2 rw,nsdelegate\n\
                      26 23 0:23 / /run/elogind rw - cgroup cgroup rw,name=elogind";
        let found = Hierarchy::from_texts(mounts, "1:name=elogind:/\n0::/user.slice/me").expect("cgroups are mounted");
        assert_eq!(found.version(), Version::V2);
        assert_eq!(found.cgroup(Path::new("x")).dirs()[0].path, Path::new("/sys/fs/cgroup/user.slice/me/x"));
    }

    #[test]
    fn the_usual_places_and_the_list_of_mounts_tell_the_same() {
        let own = std::fs::read_to_string("/proc/self/cgroup").expect("/proc is mounted");
        let mounts = std::fs::read_to_string("/proc/self/mountinfo").expect("/proc is mounted");
        let Some(usual) = Hierarchy::at_usual_places(Path::new("/sys/fs/cgroup"), &own) else { return };
        let listed = Hierarchy::from_texts(&mounts, &own).expect("what is usual is listed, too");
        for path in ["/a", "b"].map(Path::new) {
            assert_eq!(usual.cgroup(path).paths(), listed.cgroup(path).paths());
        }
        let empty = tempfile::tempdir().expect("a folder");
        assert!(Hierarchy::at_usual_places(empty.path(), &own).is_none());
    }

    #[test]
    fn inside_a_container_paths_count_from_what_is_mounted_there() {
        let mounts = "40 30 0:28 /docker/ab /sys/fs/cgroup/memory ro - cgroup cgroup rw,memory";
        let found = Hierarchy::from_texts(mounts, "4:memory:/docker/ab/sub").expect("cgroups are mounted");
        assert_eq!(found.cgroup(Path::new("c")).dirs()[0].path, Path::new("/sys/fs/cgroup/memory/sub/c"));
        assert!(Hierarchy::from_texts("1 1 0:1 / / rw - ext4 /dev/a rw", "").is_none());
    }
}
