//! Whom the browser thinks it talks to. A page elsewhere can make a name of its own lead to this machine (DNS rebinding);
//! its requests then carry that name as Host, and are refused.

use std::net::IpAddr;

/// The names under which a server answers.
#[derive(Clone, Debug)]
pub(crate) struct Names {
    address: IpAddr,
    others: Vec<String>,
}

impl Names {
    pub(crate) fn new(address: IpAddr, others: &[String]) -> Self {
        let others = others.iter().map(|name| name.to_ascii_lowercase()).collect();
        Self { address, others }
    }

    /// Whether a Host header names this server, reached at `local`. A port says nothing of who was asked: a tunnel has
    /// another one.
    pub(crate) fn allow(&self, host: &str, local: IpAddr) -> bool {
        let name = without_port(host).to_ascii_lowercase();
        let literal = name
            .trim_start_matches('[')
            .trim_end_matches(']')
            .parse::<IpAddr>();
        match literal {
            Ok(address) => address == local || address == self.address,
            Err(_) => (name == "localhost" && local.is_loopback()) || self.others.contains(&name),
        }
    }
}

fn without_port(host: &str) -> &str {
    match host.rsplit_once(':') {
        Some((name, port))
            if port.bytes().all(|b| b.is_ascii_digit())
                && !name.ends_with(':')
                && (!name.contains(':') || name.ends_with(']')) =>
        {
            name
        }
        _ => host,
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn only_own_names_are_answered() {
        let local: IpAddr = "127.0.0.1".parse().unwrap();
        let names = Names::new(local, &["Lab.Example".into()]);
        for own in [
            "localhost",
            "localhost:8017",
            "LOCALHOST:1",
            "127.0.0.1:8017",
            "127.0.0.1",
            "lab.example:80",
        ] {
            assert!(names.allow(own, local), "{own}");
        }
        for foreign in [
            "",
            "evil.example",
            "localhost.evil.example:8017",
            "127.0.0.1.nip.io",
            "10.0.0.1",
            "[::1]:80",
            "user@localhost",
            "localhost:8017:1",
        ] {
            assert!(!names.allow(foreign, local), "{foreign}");
        }
    }

    #[test]
    fn another_machine_is_not_told_localhost() {
        let local: IpAddr = "192.0.2.7".parse().unwrap();
        let names = Names::new("0.0.0.0".parse().unwrap(), &[]);
        assert!(names.allow("192.0.2.7:8017", local));
        assert!(!names.allow("localhost:8017", local) && !names.allow("192.0.2.8", local));
        let six: IpAddr = "::1".parse().unwrap();
        assert!(Names::new(six, &[]).allow("[::1]:8017", six));
    }
}
