//! What the practice site answers to which path.

/// A page of the practice site.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Page {
    /// The list of events.
    Index,
    /// One event.
    Event,
    /// A cart is filled: the order is stored, tasks follow.
    Order,
    /// An order's page.
    OrderPage,
    /// The login page.
    Login,
    /// The healthcheck.
    Health,
    /// The metrics page.
    Metrics,
    /// Nothing is there.
    Missing,
    /// The slash at the end is missing.
    NoSlash,
}

impl Page {
    /// The page of a method and path.
    pub fn of(method: &str, path: &str) -> Self {
        match (method, path) {
            (_, "/healthcheck/") => Self::Health,
            (_, "/metrics") => Self::Metrics,
            (_, "/healthcheck" | "/login" | "/events") => Self::NoSlash,
            ("POST", p) if p.starts_with("/events/") && p.ends_with("/order/") => Self::Order,
            ("GET", "/") => Self::Index,
            ("GET", "/login/") => Self::Login,
            ("GET", p) if p.starts_with("/events/") => Self::Event,
            ("GET", p) if p.starts_with("/orders/") => Self::OrderPage,
            _ => Self::Missing,
        }
    }

    /// The URL's name in the metrics; `None`: not counted, as pretix counts neither its healthcheck nor its metrics nor
    /// what no route matches.
    pub const fn url_name(self) -> Option<&'static str> {
        match self {
            Self::Index => Some("presale:index"),
            Self::Event => Some("presale:event.index"),
            Self::Order => Some("presale:event.cart.add"),
            Self::OrderPage => Some("presale:event.order"),
            Self::Login => Some("control:auth.login"),
            Self::Health | Self::Metrics | Self::Missing | Self::NoSlash => None,
        }
    }
}
