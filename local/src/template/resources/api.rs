//! `AWS::Serverless::HttpApi`.

use aws_limits::http_api::Throttle;

use super::{
    super::model::{Cors, HttpApi, JwtAuthorizer},
    super::{
        error::{Result, TemplateError},
        properties::Properties,
    },
    reading::Reading,
};

pub(super) fn read(reading: &mut Reading<'_>, mut open: Properties<'_>) -> Result<HttpApi> {
    let authorizer = match open.nested("Auth")? {
        Some(auth) => read_auth(auth)?,
        None => None,
    };
    let cors = open.nested("CorsConfiguration")?.map(read_cors).transpose()?;
    open.take("Description");
    let throttle = open.nested("DefaultRouteSettings")?.map(|settings| read_throttle(reading, settings)).transpose()?;
    open.ignore(
        reading.warnings,
        &["AccessLogSettings", "FailOnWarnings", "Name", "PropagateTags", "RouteSettings", "Tags"],
    );
    open.finish()?;
    Ok(HttpApi { name: reading.name.clone(), cors, authorizer, throttle: throttle.flatten() })
}

/// The throttling of each route. A rate needs a burst, as for API Gateway.
fn read_throttle(reading: &mut Reading<'_>, mut settings: Properties<'_>) -> Result<Option<Throttle>> {
    let mut take = |key| Ok(settings.count(key, 1..=u32::MAX)?.map(f64::from));
    let (requests, burst) = (take("ThrottlingRateLimit")?, take("ThrottlingBurstLimit")?);
    settings.ignore(reading.warnings, &["DetailedMetricsEnabled"]);
    settings.finish()?;
    Ok(requests.zip(burst).map(|(requests, burst)| Throttle { requests, burst }))
}

/// The default authorizer. Authorizers for single routes are not supported.
fn read_auth(mut auth: Properties<'_>) -> Result<Option<JwtAuthorizer>> {
    let default = auth.take("DefaultAuthorizer");
    let mut found = None;
    if let Some(authorizers) = auth.nested("Authorizers")? {
        for (name, at, node) in authorizers.rest() {
            if default.map(|default| default.text("DefaultAuthorizer")).transpose()? != Some(name) {
                let message =
                    format!("`{name}` is not the DefaultAuthorizer; the local stack supports no other authorizer");
                return Err(TemplateError::new(at, message));
            }
            found = Some(read_authorizer(auth.part("Authorizers", node)?)?);
        }
    }
    auth.finish()?;
    match (default, found) {
        (Some(default), None) => Err(default.error("there is no authorizer with this name")),
        (_, found) => Ok(found),
    }
}

fn read_authorizer(mut open: Properties<'_>) -> Result<JwtAuthorizer> {
    open.one_of("IdentitySource", &["$request.header.Authorization"])?;
    let configuration = open.require("JwtConfiguration")?;
    let mut configuration = open.part("JwtConfiguration", configuration)?;
    let issuer = configuration.require("issuer")?.text("issuer")?.to_owned();
    let audience = configuration.texts("audience")?;
    if audience.is_empty() {
        return Err(TemplateError::new(configuration.at(), "a JwtConfiguration needs an audience"));
    }
    configuration.finish()?;
    if let Some(scopes) = open.take("AuthorizationScopes").filter(|scopes| !scopes.items().is_empty()) {
        return Err(scopes.error("the local stack checks no scopes of tokens"));
    }
    open.finish()?;
    Ok(JwtAuthorizer { issuer, audience })
}

pub(super) fn read_cors(mut open: Properties<'_>) -> Result<Cors> {
    let at = open.at();
    let cors = Cors {
        allow_origins: open.texts("AllowOrigins")?,
        allow_methods: open.texts("AllowMethods")?,
        allow_headers: open.texts("AllowHeaders")?,
        expose_headers: open.texts("ExposeHeaders")?,
        allow_credentials: open.boolean("AllowCredentials")?.unwrap_or(false),
        max_age: open.seconds("MaxAge", 0..=86_400)?,
    };
    open.finish()?;
    // API Gateway refuses this, too: any web page could act in the name of the caller.
    if cors.allow_credentials && cors.allow_origins.iter().any(|origin| origin == "*") {
        return Err(TemplateError::new(at, "AllowCredentials is not allowed with the origin `*`"));
    }
    Ok(cors)
}
