//! Which files a plug-in may open: Landlock.

use landlock::{
    ABI, Access as _, AccessFs, AccessNet, CompatLevel, Compatible as _, Ruleset, RulesetAttr as _,
    RulesetCreated, RulesetCreatedAttr as _, RulesetStatus, Scope, path_beneath_rules,
};

/// What is asked for; an older kernel gives what it has.
const NEWEST: ABI = ABI::V6;

/// Where libraries are.
const LIBRARIES: [&str; 8] = [
    "/lib",
    "/lib64",
    "/usr/lib",
    "/usr/lib64",
    "/usr/local/lib",
    "/etc/ld.so.cache",
    "/nix/store",
    "/gnu/store",
];

/// What connections need: names, certificates of authorities, the time zone in a log line, devices that hold nothing.
/// A file that is replaced later is another file to Landlock: what a network service writes anew is named by its folder.
const CONNECTING: [&str; 22] = [
    "/etc/resolv.conf",
    "/etc/hosts",
    "/etc/host.conf",
    "/etc/nsswitch.conf",
    "/etc/gai.conf",
    "/etc/services",
    "/etc/protocols",
    "/etc/localtime",
    "/etc/ssl",
    "/etc/pki",
    "/etc/ca-certificates",
    "/usr/share/ca-certificates",
    "/usr/local/share/ca-certificates",
    "/usr/share/zoneinfo",
    "/run/systemd/resolve",
    "/run/NetworkManager",
    "/run/resolvconf",
    "/run/netconfig",
    "/var/lib/ca-certificates",
    "/dev/urandom",
    "/dev/random",
    "/dev/null",
];

fn ruleset() -> Result<RulesetCreated, String> {
    let text = |error: landlock::RulesetError| error.to_string();
    Ruleset::default()
        .set_compatibility(CompatLevel::BestEffort)
        .handle_access(AccessFs::from_all(NEWEST))
        .map_err(text)?
        // No rule allows any port: nothing listens.
        .handle_access(AccessNet::BindTcp)
        .map_err(text)?
        .scope(Scope::from_all(NEWEST))
        .map_err(text)?
        .create()
        .map_err(text)
}

fn enforce(ruleset: RulesetCreated, whole: bool) -> Result<String, String> {
    let status = ruleset.restrict_self().map_err(|error| error.to_string())?;
    match status.ruleset {
        RulesetStatus::FullyEnforced => Ok("landlock".to_owned()),
        RulesetStatus::PartiallyEnforced if whole => {
            Err("this kernel has only a part of it; 6.12 has all".to_owned())
        }
        RulesetStatus::PartiallyEnforced => Ok("landlock (in part: an older kernel)".to_owned()),
        RulesetStatus::NotEnforced => Err("this kernel has none".to_owned()),
    }
}

/// Read-only access to what loading needs and, for transports, connecting. What does not exist here is left out.
/// `whole`: a kernel that has only a part of it is an error.
pub(super) fn restrict(codec: bool, whole: bool) -> Result<String, String> {
    let connecting: &[&str] = if codec { &[] } else { &CONNECTING };
    let paths = LIBRARIES.iter().chain(connecting);
    let read = AccessFs::from_read(NEWEST);
    let ruleset = ruleset()?
        .add_rules(path_beneath_rules(paths, read))
        .map_err(|error: landlock::RulesetError| error.to_string())?;
    enforce(ruleset, whole)
}

/// No file at all.
pub(super) fn none() -> Result<String, String> {
    enforce(ruleset()?, false)
}
