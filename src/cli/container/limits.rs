//! # Limits and devices: how much of the machine
//!
//! The small languages of `--ulimit nofile=1024:2048`, `--device /dev/fuse:/dev/fuse:rwm`, `--device-read-bps /dev/sda:1mb`,
//! `--blkio-weight-device /dev/sda:300`, `--gpus all` and `--restart on-failure:3`, each into the value that the API carries.
//!
//! *See:* docker/go-units `ulimit.go`; docker/cli `opts`. *Next room:* [`crate::container::security`]

use crate::container::mounts::csv;
use minidock_base::{Error, Result, units};
use minidock_spec::engine::container::{DeviceMapping, RestartPolicy, ThrottleDevice, ULIMITS, Ulimit, WeightDevice};
use serde_json::{Value, json};
use std::collections::BTreeMap;

/// `name=soft[:hard]`; -1 is no limit.
///
/// # Errors
/// `invalid ulimit argument`, `invalid ulimit type`, a soft limit above the hard one.
pub fn ulimit(value: &str) -> Result<Ulimit> {
    let wrong = |why: String| {
        Error::invalid(format!("invalid argument {value:?} for \"--ulimit\" flag: {why}")).hint("--ulimit nofile=1024:2048")
    };
    let (name, numbers) = value.split_once('=').ok_or_else(|| wrong(format!("invalid ulimit argument: {value}")))?;
    if !ULIMITS.contains(&name) {
        return Err(wrong(format!("invalid ulimit type: {name}")));
    }
    let number =
        |text: &str| text.parse::<i64>().map_err(|_| wrong(format!("strconv.ParseInt: parsing {text:?}: invalid syntax")));
    let (soft, hard) = match numbers.split(':').collect::<Vec<_>>().as_slice() {
        [one] => (number(one)?, number(one)?),
        [soft, hard] => (number(soft)?, number(hard)?),
        _ => return Err(wrong(format!("too many limit value arguments - {numbers}, can only have up to two, `soft[:hard]`"))),
    };
    if hard != -1 && (soft > hard || soft == -1) {
        return Err(wrong(format!("ulimit soft limit must be less than or equal to hard limit: {soft} > {hard}")));
    }
    Ok(Ulimit { name: name.to_string(), hard, soft })
}

/// `/dev/a[:/dev/b][:rwm]`.
///
/// # Errors
/// `bad mode specified`, `invalid device specification`, paths that are not absolute.
pub fn device(value: &str) -> Result<DeviceMapping> {
    let wrong = |why: String| {
        Error::invalid(format!("invalid argument {value:?} for \"--device\" flag: {why}"))
            .hint("--device /dev/fuse[:/dev/inside][:rwm]")
    };
    let is_mode = |text: &str| {
        let mut seen = String::new();
        !text.is_empty()
            && text.chars().all(|c| {
                let fresh = "rwm".contains(c) && !seen.contains(c);
                seen.push(c);
                fresh
            })
    };
    let (outside, inside, mode) = match value.split(':').collect::<Vec<_>>().as_slice() {
        [path] => (*path, *path, "rwm"),
        [path, second] if is_mode(second) => (*path, *path, *second),
        [path, second] if second.starts_with('/') => (*path, *second, "rwm"),
        [_, second] => return Err(wrong(format!("bad mode specified: {second}"))),
        [path, second, mode] if is_mode(mode) => (*path, *second, *mode),
        [_, _, mode] => return Err(wrong(format!("bad mode specified: {mode}"))),
        _ => return Err(wrong(format!("invalid device specification: {value}"))),
    };
    if outside.is_empty() || !inside.starts_with('/') {
        return Err(wrong(format!("{} is not an absolute path", if outside.is_empty() { outside } else { inside })));
    }
    let text = |s: &str| s.to_string();
    Ok(DeviceMapping { path_on_host: text(outside), path_in_container: text(inside), cgroup_permissions: text(mode) })
}

/// `/dev/sda:1mb` (bytes a second).
///
/// # Errors
/// `bad format`, `invalid rate for device`.
pub fn rate_bytes(flag: &str, value: &str) -> Result<ThrottleDevice> {
    throttle(flag, value, "must be a positive integer, with an optional unit (kb, mb, gb)", |text| {
        units::parse_bytes(text).ok().and_then(|n| u64::try_from(n).ok())
    })
}

/// `/dev/sda:1000` (operations a second).
///
/// # Errors
/// As [`rate_bytes`].
pub fn rate_operations(flag: &str, value: &str) -> Result<ThrottleDevice> {
    throttle(flag, value, "must be a positive integer", |text| text.parse().ok())
}

fn throttle(flag: &str, value: &str, rule: &str, read: impl Fn(&str) -> Option<u64>) -> Result<ThrottleDevice> {
    let (path, rate) = device_value(flag, value)?;
    match read(rate) {
        Some(rate) => Ok(ThrottleDevice { path: path.to_string(), rate }),
        None => Err(Error::invalid(format!(
            "invalid argument {value:?} for \"--{flag}\" flag: invalid rate for device: {value}. The correct format is <device-path>:<number>; the number {rule}"
        ))),
    }
}

/// `/dev/sda:300`, 10 to 1000, or 0.
///
/// # Errors
/// `invalid weight for device`.
pub fn weight(value: &str) -> Result<WeightDevice> {
    let (path, text) = device_value("blkio-weight-device", value)?;
    match text.parse::<u16>() {
        Ok(weight @ (0 | 10..=1000)) => Ok(WeightDevice { path: path.to_string(), weight }),
        _ => Err(Error::invalid(format!(
            "invalid argument {value:?} for \"--blkio-weight-device\" flag: invalid weight for device: {value}"
        ))),
    }
}

fn device_value<'a>(flag: &str, value: &'a str) -> Result<(&'a str, &'a str)> {
    let wrong = |why: &str| Error::invalid(format!("invalid argument {value:?} for \"--{flag}\" flag: {why}: {value}"));
    let (path, rest) = value.split_once(':').ok_or_else(|| wrong("bad format"))?;
    match path.starts_with("/dev/") {
        true => Ok((path, rest)),
        false => Err(wrong("bad format for device path")),
    }
}

/// `no`, `always`, `unless-stopped`, `on-failure[:3]`. Whether there is a policy of that name is the daemon's to say.
///
/// # Errors
/// `invalid restart policy format: …`.
pub fn restart(value: &str) -> Result<RestartPolicy> {
    let wrong = |why: &str| {
        Error::invalid(format!("invalid restart policy format: {why}"))
            .hint("--restart no, always, unless-stopped or on-failure[:times]")
    };
    let (name, count) = match value.split_once(':') {
        None => (value, 0),
        Some(("", _)) => return Err(wrong("no policy provided before colon")),
        Some((name, "")) => (name, 0),
        Some((name, text)) => (name, text.parse::<i64>().map_err(|_| wrong("maximum retry count must be an integer"))?),
    };
    Ok(RestartPolicy { name: name.to_string(), maximum_retry_count: count })
}

/// `all`, a number, or `count=…,device=…,driver=…,capabilities=…,options=…` as CSV.
///
/// # Errors
/// A count that is none, a field that is unknown or stands twice.
pub fn gpus(value: &str) -> Result<Value> {
    let wrong =
        |why: String| Error::invalid(format!("invalid argument {value:?} for \"--gpus\" flag: {why}")).hint("--gpus all");
    let count = |text: &str| match text {
        "all" => Ok(-1),
        text => text
            .parse::<i64>()
            .map_err(|_| wrong(format!("invalid count ({text}): value must be either \"all\" or an integer: invalid syntax"))),
    };
    let mut fields: BTreeMap<String, String> = BTreeMap::new();
    for field in csv(value).map_err(wrong)? {
        let (key, text) = field.split_once('=').unwrap_or(("count", &field));
        if fields.insert(key.to_string(), text.to_string()).is_some() {
            return Err(wrong(format!("gpu request key '{key}' can be specified only once")));
        }
    }
    let list = |text: &String| text.split(',').map(str::to_string).collect::<Vec<_>>();
    let ids = fields.remove("device").as_ref().map(list);
    let number = fields.remove("count").map(|text| count(&text)).transpose()?;
    let mut capabilities = fields.remove("capabilities").as_ref().map(list).unwrap_or_default();
    capabilities.insert(0, "gpu".into());
    let request = json!({
        "Driver": fields.remove("driver").unwrap_or_default(),
        "Count": number.unwrap_or(if ids.is_some() { 0 } else { -1 }),
        "DeviceIDs": ids,
        "Capabilities": [capabilities],
        "Options": {},
    });
    fields.remove("options");
    match fields.into_keys().next() {
        Some(key) => Err(wrong(format!("unexpected key '{key}' in '{value}'"))),
        None => Ok(request),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_ulimit_is_soft_and_hard() {
        assert_eq!(ulimit("nofile=10:20").expect("a limit"), Ulimit { name: "nofile".into(), soft: 10, hard: 20 });
        assert_eq!(ulimit("core=-1").expect("a limit"), Ulimit { name: "core".into(), soft: -1, hard: -1 });
        assert!(ulimit("nofile=20:10").unwrap_err().message().contains("less than or equal to hard limit: 20 > 10"));
        assert!(ulimit("x=1").unwrap_err().message().contains("invalid ulimit type: x"));
        assert!(ulimit("nofile").is_err() && ulimit("nofile=a").is_err() && ulimit("nofile=1:2:3").is_err());
    }

    #[test]
    fn a_device_may_be_renamed_and_narrowed() {
        let d = |value: &str| device(value).map(|d| (d.path_on_host, d.path_in_container, d.cgroup_permissions));
        assert_eq!(d("/dev/a").expect("a device"), ("/dev/a".into(), "/dev/a".into(), "rwm".into()));
        assert_eq!(d("/dev/a:r").expect("a device"), ("/dev/a".into(), "/dev/a".into(), "r".into()));
        assert_eq!(d("/dev/a:/dev/b:rw").expect("a device"), ("/dev/a".into(), "/dev/b".into(), "rw".into()));
        assert!(d("/dev/a:/dev/b:x").unwrap_err().message().contains("bad mode specified: x"));
        assert!(d("/dev/a:rr").is_err() && d("a:b:c:d").is_err() && d("").is_err());
    }

    #[test]
    fn rates_weights_and_policies() {
        assert_eq!(rate_bytes("device-read-bps", "/dev/sda:1mb").expect("a rate").rate, 1 << 20);
        assert_eq!(rate_operations("device-read-iops", "/dev/sda:7").expect("a rate").rate, 7);
        assert!(rate_operations("x", "/dev/sda:7k").is_err() && rate_bytes("x", "sda:1").is_err());
        assert_eq!(weight("/dev/sda:300").expect("a weight").weight, 300);
        assert!(weight("/dev/sda:5").is_err());
        assert_eq!(restart("on-failure:3").expect("a policy").maximum_retry_count, 3);
        assert!(restart(":3").unwrap_err().message().contains("no policy provided before colon"));
        assert!(restart("on-failure:x").is_err() && restart("sometimes").is_ok());
        assert_eq!(restart("on-failure:").expect("a policy"), restart("on-failure").expect("a policy"));
        assert_eq!(restart("").expect("none"), RestartPolicy::default());
    }

    #[test]
    fn gpus_are_all_some_or_certain_ones() {
        assert_eq!(gpus("all").expect("a wish")["Count"], -1);
        assert_eq!(gpus("2").expect("a wish")["Capabilities"], json!([["gpu"]]));
        let two = gpus("\"device=0,2\",capabilities=utility").expect("a wish");
        assert_eq!((&two["DeviceIDs"], &two["Capabilities"]), (&json!(["0", "2"]), &json!([["gpu", "utility"]])));
        assert!(gpus("foo").unwrap_err().message().contains("invalid count (foo): value must be either"));
        assert!(gpus("count=1,count=2").is_err() && gpus("colour=red").is_err() && gpus("").is_err());
    }

    proptest! {
        #[test]
        fn no_text_makes_the_parsers_panic(text in "(\\PC{0,16}|[a-z0-9=:/-]{0,20})") {
            let _ = (ulimit(&text), device(&text), rate_bytes("f", &text), rate_operations("f", &text), weight(&text), restart(&text), gpus(&text));
        }
    }
}
