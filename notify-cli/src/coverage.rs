//! Every operation of the API has a command: whoever can call it can also type it.

use crate::args::Cli;
use clap::CommandFactory;
use notify_webservice::routes::routes;
use std::collections::BTreeMap;

/// Operation → command. A new route fails the test below until it stands here.
const COMMANDS: &[(&str, &str)] = &[
    ("publishEvents", "event publish"),
    ("ingestAlertmanager", "event ingest"),
    ("readEvent", "event get"),
    ("listEvents", "event list"),
    ("listRules", "rule list"),
    ("createRule", "rule create"),
    ("readRule", "rule get"),
    ("replaceRule", "rule replace"),
    ("deleteRule", "rule delete"),
    ("listRuleVersions", "rule versions"),
    ("previewRule", "rule preview"),
    ("explainRule", "rule explain"),
    ("explainRules", "rule explain"),
    ("testRule", "rule test"),
    ("lintRules", "rule lint"),
    ("applyRules", "rule apply"),
    ("listChannels", "channel list"),
    ("createChannel", "channel create"),
    ("readChannel", "channel get"),
    ("replaceChannel", "channel replace"),
    ("deleteChannel", "channel delete"),
    ("listChannelVersions", "channel versions"),
    ("listTemplates", "template list"),
    ("createTemplate", "template create"),
    ("readTemplate", "template get"),
    ("replaceTemplate", "template replace"),
    ("deleteTemplate", "template delete"),
    ("listTemplateVersions", "template versions"),
    ("listBundles", "bundle list"),
    ("createBundle", "bundle create"),
    ("readBundle", "bundle get"),
    ("replaceBundle", "bundle replace"),
    ("deleteBundle", "bundle delete"),
    ("listBundleVersions", "bundle versions"),
    ("listEventTypes", "event-type list"),
    ("createEventType", "event-type create"),
    ("readEventType", "event-type get"),
    ("replaceEventType", "event-type replace"),
    ("deleteEventType", "event-type delete"),
    ("listEventTypeVersions", "event-type versions"),
    ("listCalendars", "calendar list"),
    ("createCalendar", "calendar create"),
    ("readCalendar", "calendar get"),
    ("replaceCalendar", "calendar replace"),
    ("deleteCalendar", "calendar delete"),
    ("listCalendarVersions", "calendar versions"),
    ("listCalendarWindows", "calendar next"),
    ("listContacts", "contact list"),
    ("createContact", "contact create"),
    ("readContact", "contact get"),
    ("replaceContact", "contact replace"),
    ("deleteContact", "contact delete"),
    ("listContactVersions", "contact versions"),
    ("listSilences", "silence list"),
    ("createSilence", "silence add"),
    ("readSilence", "silence get"),
    ("replaceSilence", "silence replace"),
    ("deleteSilence", "silence delete"),
    ("listSilenceVersions", "silence versions"),
    ("previewSilence", "silence preview"),
    ("expireSilence", "silence expire"),
    ("listOverrides", "override list"),
    ("createOverride", "override add"),
    ("readOverride", "override get"),
    ("replaceOverride", "override replace"),
    ("deleteOverride", "override delete"),
    ("listOverrideVersions", "override versions"),
    ("expireOverride", "override expire"),
    ("listPolicies", "policy list"),
    ("createPolicy", "policy create"),
    ("readPolicy", "policy get"),
    ("replacePolicy", "policy replace"),
    ("deletePolicy", "policy delete"),
    ("listPolicyVersions", "policy versions"),
    ("listInhibitions", "inhibition list"),
    ("createInhibition", "inhibition create"),
    ("readInhibition", "inhibition get"),
    ("replaceInhibition", "inhibition replace"),
    ("deleteInhibition", "inhibition delete"),
    ("listInhibitionVersions", "inhibition versions"),
    ("listQuarantine", "quarantine list"),
    ("readQuarantined", "quarantine get"),
    ("redriveQuarantined", "quarantine redrive"),
    ("deleteQuarantined", "quarantine delete"),
    ("listChannelStatus", "channel status"),
    ("readChannelStatus", "channel status"),
    ("testChannel", "channel test"),
    ("checkChannel", "channel check"),
    ("refreshChannelSecret", "channel refresh-secret"),
    ("listDeliveries", "delivery list"),
    ("readDelivery", "delivery get"),
    ("replayDelivery", "delivery replay"),
    ("redriveDeliveries", "delivery redrive"),
    ("readCheckpoint", "ledger head"),
    ("listLedgerEntries", "ledger entries"),
    ("exportLedger", "ledger export"),
    ("listPlugins", "plugin list"),
    ("health", "service health"),
    ("readiness", "service ready"),
    ("metrics", "service metrics"),
    ("openApi", "service openapi"),
    ("readStory", "why"),
    ("noiseReport", "report noise"),
    ("previewDigest", "digest preview"),
    ("listDigests", "digest list"),
    ("readDigest", "digest get"),
    ("listHeld", "held list"),
];

/// What a person does with a command above, offered once more in the form that another program speaks, and pages for a
/// browser.
const NOT_FOR_A_TERMINAL: &[&str] = &["postAlerts", "publishSigned", "docs", "docsFile", "docsPlace"];

#[test]
fn every_operation_has_a_command() {
    let commands: BTreeMap<_, _> = COMMANDS.iter().copied().collect();
    assert_eq!(commands.len(), COMMANDS.len(), "an operation stands here twice");
    let operations: Vec<_> = routes().into_iter().map(|route| route.operation).collect();
    let missing: Vec<_> = operations
        .iter()
        .filter(|operation| !commands.contains_key(**operation) && !NOT_FOR_A_TERMINAL.contains(operation))
        .collect();
    assert!(missing.is_empty(), "without a command: {missing:?}");
    assert!(NOT_FOR_A_TERMINAL.iter().all(|operation| operations.contains(operation)));
    let gone: Vec<_> = commands.keys().filter(|operation| !operations.contains(operation)).collect();
    assert!(gone.is_empty(), "no longer offered: {gone:?}");
    for (operation, words) in &commands {
        let mut command = Cli::command();
        for word in words.split(' ') {
            let found = command.find_subcommand(word).cloned();
            command = found.unwrap_or_else(|| panic!("`notify {words}` ({operation}) does not exist"));
        }
        assert!(command.get_about().is_some(), "`notify {words}` does not say what it does");
        assert!(!command.has_subcommands(), "`notify {words}` is a group");
    }
}

/// Clap finds contradictions between arguments (also between global ones and those of a command) only when it looks.
#[test]
fn the_command_line_is_consistent() {
    Cli::command().debug_assert();
}
