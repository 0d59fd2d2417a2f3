//! The words of the built-in digest message. In code, so that nothing a tenant writes can break them.

use crate::severity::Severity;
use crate::time::Timestamp;

/// One language.
pub struct Words {
    pub locale: &'static str,
    pub alerts_field: &'static str,
    pub severity_field: &'static str,
    pub from_field: &'static str,
    pub to_field: &'static str,
    german: bool,
}

const ENGLISH: Words = Words {
    locale: "en",
    alerts_field: "Alerts",
    severity_field: "Highest severity",
    from_field: "From",
    to_field: "To",
    german: false,
};
const GERMAN: Words = Words {
    locale: "de",
    alerts_field: "Alarme",
    severity_field: "Höchster Schweregrad",
    from_field: "Von",
    to_field: "Bis",
    german: true,
};

impl Words {
    /// German for every kind of German, English for all others.
    pub fn of(locale: &str) -> &'static Self {
        let language = locale.split(['-', '_']).next().unwrap_or_default();
        if language.eq_ignore_ascii_case("de") { &GERMAN } else { &ENGLISH }
    }

    pub fn alerts(&self, count: u64) -> String {
        match (self.german, count) {
            (false, 0) => "No alerts".to_owned(),
            (false, 1) => "1 alert".to_owned(),
            (false, _) => format!("{count} alerts"),
            (true, 0) => "Keine Alarme".to_owned(),
            (true, 1) => "1 Alarm".to_owned(),
            (true, _) => format!("{count} Alarme"),
        }
    }

    pub fn storm_title(&self, alerts: &str, period: &str) -> String {
        if self.german {
            format!("Alarmsturm: {alerts} in {period}")
        } else {
            format!("Alert storm: {alerts} in {period}")
        }
    }

    pub fn summary(&self, alerts: &str, from: &str, to: &str, worst: Severity) -> String {
        let worst = (worst != Severity::None).then(|| self.severity(worst));
        match (self.german, worst) {
            (false, None) => format!("{alerts} from {from} to {to}."),
            (false, Some(worst)) => format!("{alerts} from {from} to {to}, the highest severity is {worst}."),
            (true, None) => format!("{alerts} von {from} bis {to}."),
            (true, Some(worst)) => format!("{alerts} von {from} bis {to}, höchster Schweregrad: {worst}."),
        }
    }

    pub fn more(&self, count: u64) -> String {
        match (self.german, count) {
            (false, 1) => "And 1 more alert.".to_owned(),
            (false, _) => format!("And {count} more alerts."),
            (true, 1) => "Und 1 weiterer Alarm.".to_owned(),
            (true, _) => format!("Und {count} weitere Alarme."),
        }
    }

    /// Why they come as one. `control` is what collected them.
    pub fn why(&self, control: &str, rule: &str) -> String {
        match (self.german, control) {
            (false, "throttle") => {
                format!("Sent as one because more came than the rule “{rule}” sends one by one")
            }
            (false, "quiet-hours") => {
                format!("Sent as one because they came in quiet hours (rule “{rule}”)")
            }
            (false, "maintenance") => {
                format!("Sent as one because they came during maintenance (rule “{rule}”)")
            }
            (false, "storm") => {
                "Sent as one because far more alerts than usual come: while the storm lasts, this summary stands for \
                 the alerts of all rules"
                    .to_owned()
            }
            (false, "budget") => {
                format!("Sent as one because the recipient's budget was used up (rule “{rule}”)")
            }
            (false, _) => format!("Sent as one because the rule “{rule}” collects its alerts"),
            (true, "throttle") => {
                format!("Zusammengefasst, weil mehr kamen, als die Regel „{rule}“ einzeln sendet")
            }
            (true, "quiet-hours") => {
                format!("Zusammengefasst, weil sie in der Ruhezeit kamen (Regel „{rule}“)")
            }
            (true, "maintenance") => {
                format!("Zusammengefasst, weil sie während einer Wartung kamen (Regel „{rule}“)")
            }
            (true, "storm") => {
                "Zusammengefasst, weil weit mehr Alarme kommen als sonst: Solange der Sturm dauert, steht diese \
                 Übersicht für die Alarme aller Regeln"
                    .to_owned()
            }
            (true, "budget") => {
                format!("Zusammengefasst, weil das Kontingent des Empfängers verbraucht war (Regel „{rule}“)")
            }
            (true, _) => format!("Zusammengefasst, weil die Regel „{rule}“ ihre Alarme sammelt"),
        }
    }

    pub const fn severity(&self, severity: Severity) -> &'static str {
        if !self.german {
            return severity.name();
        }
        match severity {
            Severity::None => "ohne",
            Severity::Info => "Hinweis",
            Severity::Low => "niedrig",
            Severity::Medium => "mittel",
            Severity::High => "hoch",
            Severity::Critical => "kritisch",
            Severity::Blocker => "Blocker",
        }
    }
}

/// The length of a period in symbols that both languages share: `45 s`, `5 min`, `1 h 30 min`, `2 d 3 h`.
pub fn period(from: Timestamp, to: Timestamp) -> String {
    let seconds = to.duration_since(from).as_secs().max(0).unsigned_abs();
    let two = |whole: u64, unit: &str, rest: u64, smaller: &str| match rest {
        0 => format!("{whole} {unit}"),
        rest => format!("{whole} {unit} {rest} {smaller}"),
    };
    match seconds {
        0..60 => format!("{seconds} s"),
        60..3_600 => format!("{} min", (seconds + 30) / 60),
        3_600..86_400 => two(seconds / 3_600, "h", seconds % 3_600 / 60, "min"),
        _ => two(seconds / 86_400, "d", seconds % 86_400 / 3_600, "h"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn periods() {
        let check = |seconds: i64, expected: &str| {
            let from = Timestamp::UNIX_EPOCH;
            assert_eq!(period(from, Timestamp::from_second(seconds).unwrap()), expected);
        };
        check(-5, "0 s");
        check(45, "45 s");
        check(300, "5 min");
        check(3_600, "1 h");
        check(5_400, "1 h 30 min");
        check(86_400, "1 d");
        check(2 * 86_400 + 3 * 3_600, "2 d 3 h");
    }
}
