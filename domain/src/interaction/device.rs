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

/// Parts of user agents (lower case) that programs name themselves with. Not `okhttp`: it is what apps on Android send with; a
/// server that tells of visitors has the token and is not asked.
const BOTS: [&str; 30] = [
    "bot",
    "crawl",
    "spider",
    "slurp",
    "headless",
    "lighthouse",
    "preview",
    "facebookexternalhit",
    "meta-external",
    "embedly",
    "iframely",
    "googleother",
    "google-inspectiontool",
    "mediapartners-google",
    "perplexity-user",
    "curl/",
    "wget/",
    "python-",
    "python/",
    "java/",
    "go-http-client",
    "httpclient",
    "postmanruntime",
    "axios/",
    "node-fetch",
    "undici",
    "libwww",
    "scrapy",
    "phantomjs",
    "monitor",
];
/// Beginnings of user agents of programs whose names also stand inside of people's: WhatsApp's desktop is a browser.
const BOTS_BY_BEGINNING: [&str; 1] = ["whatsapp/"];
/// Makers of telephones whose names have a program's in them.
const NO_BOTS: [&str; 1] = ["cubot"];

impl DeviceClass {
    /// The class of `user_agent`. A request without one is a program's.
    #[must_use]
    pub fn of(user_agent: &str) -> Self {
        let mut agent = user_agent.trim().to_ascii_lowercase();
        for maker in NO_BOTS {
            agent = agent.replace(maker, "");
        }
        let names = |part: &str| agent.contains(part);
        let begins = |part: &str| agent.starts_with(part);
        if user_agent.trim().is_empty() || BOTS.into_iter().any(names) || BOTS_BY_BEGINNING.into_iter().any(begins) {
            Self::Bot
        } else if names("ipad") || names("tablet") || (names("android") && !names("mobile")) {
            Self::Tablet
        } else if names("mobi") || names("iphone") || names("ipod") || names("okhttp") {
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
            ("Mozilla/5.0 (Linux; Android 14; CUBOT KINGKONG 9) AppleWebKit/537.36 Chrome/150.0 Mobile Safari/537.36", "phone"),
            ("Mozilla/5.0 (Linux; Android 14; CUBOT TAB 50) AppleWebKit/537.36 (compatible; Googlebot/2.1)", "bot"),
            ("CUBOT", "desktop"),
            ("okhttp/4.12.0", "phone"),
            ("axios/1.7.2", "bot"),
            ("Apache-HttpClient/4.5.14 (Java/17.0.9)", "bot"),
            ("WhatsApp/2.24.20.79 A", "bot"),
            ("Mozilla/5.0 (Macintosh; Intel Mac OS X 14_6) AppleWebKit/605.1.15 WhatsApp/2.24.20 Electron/30.0 Safari/605.1.15", "desktop"),
            ("meta-externalagent/1.1 (+https://developers.facebook.com/docs/sharing/webmasters/crawler)", "bot"),
            ("meta-externalfetcher/1.1", "bot"),
            ("Mozilla/5.0 (compatible; Embedly/0.2; +http://support.embed.ly/)", "bot"),
            ("Iframely/1.3.1 (+https://iframely.com/docs/about)", "bot"),
            ("", "bot"),
        ];
        for (agent, class) in cases {
            assert_eq!(DeviceClass::of(agent).as_str(), class, "{agent}");
        }
    }
}
