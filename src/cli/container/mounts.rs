//! # Mounts: `-v`, `--mount` and `--tmpfs`
//!
//! Three spellings of "this place in the container is not the image's". `-v` is short and guesses: two absolute paths are a
//! bind mount, a name is a volume, one path alone is an anonymous volume. `--mount` is long and says everything.
//!
//! ```text
//!   -v /host:/in:ro      bind      Binds    -v data:/in     named volume   Binds     -v /in   anonymous  Config.Volumes
//!   --mount type=bind,source=/host,target=/in,readonly                     Mounts
//!   --tmpfs /in:size=64m,mode=1777                                         Tmpfs
//! ```
//!
//! * A host path that begins with a dot (`./x`) is made absolute here, against *our* folder: the daemon does not know it.
//! * Values of `--mount` are CSV: a quoted field may contain commas.
//!
//! Laws: what cannot be understood is refused here, with Docker's words; what exists or not on the host is the daemon's to
//! say. *See:* docker/cli `opts/mount.go`, `cli/compose/loader/volume.go`. *Next room:* [`crate::container::ports`]

use minidock_base::{Error, Result, units};
use minidock_spec::engine::container::{BindOptions, DriverConfig, MountRequest, Set, TmpfsOptions, VolumeOptions};
use std::{collections::BTreeMap, path::Path};

/// What all `-v` come to.
#[derive(Debug, Default, PartialEq)]
pub struct Volumes {
    pub binds: Vec<String>,
    pub anonymous: Set,
}

/// Sorts `-v` values into binds and anonymous volumes.
///
/// # Errors
/// `invalid volume specification: '…'`.
pub fn volumes(values: &[String], here: &Path) -> Result<Volumes> {
    let mut all = Volumes::default();
    for value in values {
        let bad = |why: &str| {
            Error::invalid(format!("invalid volume specification: '{value}': {why}"))
                .hint("-v /host/path:/container/path[:ro], -v name:/path or -v /path")
        };
        let parts: Vec<&str> = value.split(':').collect();
        match parts.as_slice() {
            [""] => return Err(bad("it is empty")),
            [_] => {
                all.anonymous.insert(value.clone(), serde_json::json!({}));
            }
            [source, target] | [source, target, _] => {
                if source.is_empty() || target.is_empty() {
                    return Err(bad("a part is empty"));
                }
                let mode = parts.get(2).map(|mode| format!(":{mode}")).unwrap_or_default();
                let bind = format!("{}:{target}{mode}", absolute(source, here));
                // the same wish twice is one wish
                if !all.binds.contains(&bind) {
                    all.binds.push(bind);
                }
            }
            _ => return Err(bad("too many colons")),
        }
    }
    Ok(all)
}

/// A host path as the daemon needs it: one that begins with a dot is ours to complete, all else is the daemon's to judge.
fn absolute(source: &str, here: &Path) -> String {
    if !source.starts_with('.') {
        return source.to_string();
    }
    let mut whole = here.to_path_buf();
    for part in Path::new(source).components() {
        match part {
            std::path::Component::ParentDir => {
                whole.pop();
            }
            std::path::Component::CurDir => {}
            other => whole.push(other),
        }
    }
    whole.to_string_lossy().into_owned()
}

/// `--tmpfs /path[:options]`.
pub fn tmpfs(values: &[String]) -> BTreeMap<String, String> {
    let split = |value: &String| match value.split_once(':') {
        Some((path, options)) => (path.to_string(), options.to_string()),
        None => (value.clone(), String::new()),
    };
    values.iter().map(split).collect()
}

/// One `--mount`.
///
/// # Errors
/// `invalid argument "…" for "--mount" flag: …`, with Docker's reasons.
pub fn mount(value: &str, here: &Path) -> Result<MountRequest> {
    parse(value, here).map_err(|why| {
        Error::invalid(format!("invalid argument {value:?} for \"--mount\" flag: {why}"))
            .hint("--mount type=bind,source=/host/path,target=/container/path[,readonly]")
    })
}

/// The same, with the reason alone as the error.
///
/// # Errors
/// Docker's reasons.
pub fn parse(value: &str, here: &Path) -> std::result::Result<MountRequest, String> {
    let mut mount = MountRequest { kind: "volume".into(), ..MountRequest::default() };
    let (mut bind, mut volume, mut tmpfs) = (BindOptions::default(), VolumeOptions::default(), TmpfsOptions::default());
    for field in csv(value)? {
        let (key, text) = match field.split_once('=') {
            Some((key, text)) => (key.trim().to_ascii_lowercase(), Some(text.trim())),
            None => (field.trim().to_ascii_lowercase(), None),
        };
        let given = || text.ok_or_else(|| format!("invalid field '{field}' must be a key=value pair"));
        let truth = || match text {
            None => Ok(true),
            Some("true" | "1") => Ok(true),
            Some("false" | "0") => Ok(false),
            Some(other) => Err(format!("invalid value for {key}: {other}")),
        };
        match key.as_str() {
            "type" => mount.kind = given()?.to_ascii_lowercase(),
            "source" | "src" => mount.source = given()?.to_string(),
            "target" | "dst" | "destination" => mount.target = given()?.to_string(),
            "readonly" | "ro" => mount.read_only = truth()?,
            "consistency" => mount.consistency = given()?.to_ascii_lowercase(),
            "bind-propagation" => bind.propagation = given()?.to_ascii_lowercase(),
            "bind-nonrecursive" => bind.non_recursive = truth()?,
            "bind-recursive" => match given()? {
                "enabled" => {}
                "disabled" => bind.non_recursive = true,
                "writable" => bind.read_only_non_recursive = true,
                "readonly" => bind.read_only_force_recursive = true,
                other => {
                    return Err(format!(
                        "invalid value for {key}: {other} (must be \"enabled\", \"disabled\", \"writable\", or \"readonly\")"
                    ));
                }
            },
            "bind-create-src" => bind.create_mountpoint = truth()?,
            "volume-nocopy" => volume.no_copy = truth()?,
            "volume-subpath" => volume.subpath = given()?.to_string(),
            "volume-label" => {
                let (name, label) = given()?.split_once('=').unwrap_or((given()?, ""));
                volume.labels.insert(name.to_string(), label.to_string());
            }
            "volume-driver" => volume.driver_config.get_or_insert_with(DriverConfig::default).name = given()?.to_string(),
            "volume-opt" => {
                let (name, option) = given()?.split_once('=').unwrap_or((given()?, ""));
                let driver = volume.driver_config.get_or_insert_with(DriverConfig::default);
                driver.options.insert(name.to_string(), option.to_string());
            }
            "tmpfs-size" => {
                let size = given()?;
                tmpfs.size_bytes = units::parse_bytes(size).map_err(|_| format!("invalid value for {key}: {size}"))?;
            }
            "tmpfs-mode" => {
                let mode = given()?;
                let bits = u32::from_str_radix(mode.strip_prefix("0o").unwrap_or(mode), 8).ok().filter(|m| *m <= 0o7777);
                tmpfs.mode = Some(bits.ok_or_else(|| format!("invalid value for {key}: {mode}"))?);
            }
            _ => return Err(format!("unexpected key '{key}' in '{field}'")),
        }
    }
    mount.bind_options = (bind != BindOptions::default()).then_some(bind);
    mount.volume_options = (volume != VolumeOptions::default()).then_some(volume);
    mount.tmpfs_options = (tmpfs != TmpfsOptions::default()).then_some(tmpfs);
    check(&mut mount, here)?;
    Ok(mount)
}

/// What fits together.
fn check(mount: &mut MountRequest, here: &Path) -> std::result::Result<(), String> {
    if mount.kind.is_empty() {
        return Err("type is required".into());
    }
    if mount.target.is_empty() {
        return Err("target is required".into());
    }
    let stranger = |wanted: &str, present: bool| match present && mount.kind != wanted {
        true => Err(format!("cannot mix '{wanted}-*' options with mount type '{}'", mount.kind)),
        false => Ok(()),
    };
    stranger("volume", mount.volume_options.is_some())?;
    stranger("bind", mount.bind_options.is_some())?;
    stranger("tmpfs", mount.tmpfs_options.is_some())?;
    if mount.kind == "bind" && mount.source.starts_with('.') {
        mount.source = absolute(&mount.source, here);
    }
    Ok(())
}

/// The fields of one line of CSV.
///
/// # Errors
/// A quote that stands in the middle, or has no end.
pub fn csv(line: &str) -> std::result::Result<Vec<String>, String> {
    if line.is_empty() {
        return Err("value is empty".into());
    }
    if line.starts_with(' ') || line.ends_with(' ') {
        return Err("value has leading or trailing whitespace".into());
    }
    let (mut fields, mut field, mut quoted) = (Vec::new(), String::new(), false);
    let mut letters = line.chars().peekable();
    while let Some(letter) = letters.next() {
        match letter {
            '"' if quoted && letters.peek() == Some(&'"') => {
                letters.next();
                field.push('"');
            }
            '"' if quoted => quoted = false,
            '"' if field.is_empty() => quoted = true,
            '"' => return Err("bare \" in non-quoted-field".into()),
            ',' if !quoted => fields.push(std::mem::take(&mut field)),
            other => field.push(other),
        }
    }
    if quoted {
        return Err("extraneous or missing \" in quoted-field".into());
    }
    fields.push(field);
    Ok(fields)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn here() -> &'static Path {
        Path::new("/home/me")
    }

    #[test]
    fn a_volume_flag_is_a_bind_a_name_or_an_anonymous_volume() {
        let all = volumes(
            &["/a:/b".into(), "data:/d:ro".into(), "/anon".into(), "./x:/y".into(), "../z:/z".into(), "/a:/b".into()],
            here(),
        );
        let all = all.expect("volumes");
        assert_eq!(all.binds, ["/a:/b", "data:/d:ro", "/home/me/x:/y", "/home/z:/z"]);
        assert_eq!(all.anonymous.keys().collect::<Vec<_>>(), ["/anon"]);
        for bad in ["", ":/b", "/a:", "a:b:c:d"] {
            assert!(volumes(&[bad.into()], here()).is_err(), "{bad:?} should be refused");
        }
    }

    #[test]
    fn a_mount_says_everything() {
        let bind = mount("type=bind,source=./src,target=/usr/share,readonly,bind-propagation=rslave", here()).expect("a mount");
        assert_eq!((bind.kind.as_str(), bind.source.as_str(), bind.read_only), ("bind", "/home/me/src", true));
        assert_eq!(bind.bind_options.expect("given").propagation, "rslave");
        let volume =
            mount("src=v,dst=/d,volume-opt=type=nfs,\"volume-opt=o=addr=h,rw\",volume-nocopy", here()).expect("a mount");
        let options = volume.volume_options.expect("given");
        assert!(options.no_copy && volume.kind == "volume");
        assert_eq!(options.driver_config.expect("given").options["o"], "addr=h,rw");
        let tmpfs = mount("type=tmpfs,destination=/t,tmpfs-size=1m,tmpfs-mode=1770", here()).expect("a mount");
        assert_eq!(tmpfs.tmpfs_options.expect("given"), TmpfsOptions { size_bytes: 1 << 20, mode: Some(0o1770) });
    }

    #[test]
    fn a_wrong_mount_is_refused_in_dockers_words() {
        let why = |value: &str| mount(value, here()).unwrap_err().message();
        assert!(why("type=bind,source=/a").ends_with("flag: target is required"));
        assert!(why("type=bind,target=/a,volume-nocopy").contains("cannot mix 'volume-*' options with mount type 'bind'"));
        assert!(why("type=bind,target=/a,foo=1").contains("unexpected key 'foo' in 'foo=1'"));
        assert!(why("target=/a,readonly=maybe").contains("invalid value for readonly: maybe"));
        assert!(why("target").contains("invalid field 'target' must be a key=value pair"));
        assert!(why("").contains("value is empty") && why("target=\"/a").contains("bare"));
        assert!(why("target=/a,tmpfs-mode=9").contains("invalid value for tmpfs-mode: 9"));
    }

    proptest! {
        #[test]
        fn no_text_makes_the_parsers_panic(text in "(\\PC{0,20}|[a-z=,\":/.-]{0,30})") {
            let _ = (mount(&text, here()), volumes(std::slice::from_ref(&text), here()), tmpfs(std::slice::from_ref(&text)));
        }

        #[test]
        fn a_quoted_field_keeps_its_commas(text in "[a-z,]{1,12}") {
            prop_assert_eq!(csv(&format!("a,\"{text}\",b")).expect("CSV"), vec!["a".to_string(), text, "b".to_string()]);
        }
    }
}
