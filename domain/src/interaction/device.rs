//! What a user agent says of itself, in four words. The string itself is never kept.

/// Device class of an event; the wire's words.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DeviceClass {
    /// A telephone.
    Phone,
    /// A tablet.
    Tablet,
    /// Anything else that people sit before.
    Desktop,
    /// A program.
    Bot,
}

/// Parts of user agents (lower case) that programs name themselves with.
const BOTS: [&str; 22] = [
    "bot",
    "crawl",
    "spider",
    "slurp",
    "headless",
    "lighthouse",
    "preview",
    "facebookexternalhit",
    "curl/",
    "wget/",
    "python-",
    "python/",
    "java/",
    "go-http-client",
    "okhttp",
    "axios/",
    "node-fetch",
    "undici",
    "libwww",
    "scrapy",
    "phantomjs",
    "monitor",
];

impl DeviceClass {
    /// The class of `user_agent`. A request without one is a program's.
    #[must_use]
    pub fn of(user_agent: &str) -> Self {
        let agent = user_agent.to_ascii_lowercase();
        let names = |part: &str| agent.contains(part);
        if agent.trim().is_empty() || BOTS.into_iter().any(names) {
            Self::Bot
        } else if names("ipad") || names("tablet") || (names("android") && !names("mobile")) {
            Self::Tablet
        } else if names("mobi") || names("iphone") || names("ipod") {
            Self::Phone
        } else {
            Self::Desktop
        }
    }

    /// The word in an event.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Phone => "phone",
            Self::Tablet => "tablet",
            Self::Desktop => "desktop",
            Self::Bot => "bot",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn common_agents_have_their_class() {
        let cases = [
            ("Mozilla/5.0 (iPhone; CPU iPhone OS 19_0 like Mac OS X) AppleWebKit/605.1.15 Mobile/15E148 Safari/604.1", "phone"),
            ("Mozilla/5.0 (Linux; Android 16; Pixel 9) AppleWebKit/537.36 Chrome/150.0 Mobile Safari/537.36", "phone"),
            ("Mozilla/5.0 (Linux; Android 16; SM-X910) AppleWebKit/537.36 Chrome/150.0 Safari/537.36", "tablet"),
            ("Mozilla/5.0 (iPad; CPU OS 17_0 like Mac OS X) AppleWebKit/605.1.15 Mobile/15E148", "tablet"),
            ("Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 Chrome/150.0 Safari/537.36", "desktop"),
            ("Mozilla/5.0 (compatible; Googlebot/2.1; +http://www.google.com/bot.html)", "bot"),
            ("Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 HeadlessChrome/150.0 Safari/537.36", "bot"),
            ("curl/8.0", "bot"),
            ("", "bot"),
        ];
        for (agent, class) in cases {
            assert_eq!(DeviceClass::of(agent).as_str(), class, "{agent}");
        }
    }
}
